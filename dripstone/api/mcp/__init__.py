"""The door for agents at /mcp (Model Context Protocol): calls of the API as tools that say what they do.

tools.py        what a tool is: its call, and where each parameter goes
parameters.py   how parameters are described
kit_tools.py    Kit's tools, and those that are not answered, with the reason
our_tools.py    what Kit has no tool for
operations.py   which calls there are
calls.py        makes the call of a tool, as its caller
door.py         who comes in, and the server
"""
