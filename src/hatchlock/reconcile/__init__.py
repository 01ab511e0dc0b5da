"""Observe, diff, plan, execute: the world -> a plan -> the world."""
