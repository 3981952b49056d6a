"""Reconcile: compares sources and fact table by day, and loads or marks the sales that differ.

A heal is loaded by the steps of a daily run.
"""
