"""A model or a run in another form: conversion, the Hub."""
