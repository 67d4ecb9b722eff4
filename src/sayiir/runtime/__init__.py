"""Runs workflows: interprets the planner's decisions, calls tasks, keeps claims."""
