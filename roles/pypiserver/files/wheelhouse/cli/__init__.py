"""The command line: a module for each subject, and the functions that they share (common).

Each module has add_commands(commands), which adds its subcommands to the parser, and a function for each of them: it
takes the settings and the arguments, and returns the exit status, 0 (nothing found) or 1 (something was found).
"""
