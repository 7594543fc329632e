"""Damaged and hostile files for every reader: mutations of whole ones, read in a process with bounds."""
