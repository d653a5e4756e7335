"""Runs that start by themselves: entries for cron, systemd and Airflow, and one run at a time."""
