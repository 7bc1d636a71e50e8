"""`luspool top`: what runs, while it runs.

meeting.py is where a program and those who look at it meet, server.py the program's side of it, client.py the other;
view.py says what was seen, top.py shows it over and over. docs/tracing.md describes it.
"""
