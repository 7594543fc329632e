"""Damaged and hostile files for every reader: mutations of intact files, read in a process with limits."""
