"""A policy that knows the task teaches one with memory."""
