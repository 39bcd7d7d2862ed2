"""Runs a program in a terminal of 30 lines of 100 columns: terminal.py PROGRAM ARGUMENT...

Standard input is typed, and what the program shows goes to standard output. At the end of standard input the program is hung up.
"""

import fcntl
import os
import pty
import select
import struct
import sys
import termios

program, terminal = pty.fork()
if program == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    ready, _, _ = select.select([0, terminal], [], [])
    if 0 in ready:
        typed = os.read(0, 4096)
        if not typed:
            os.close(terminal)
            break
        os.write(terminal, typed)
    if terminal in ready:
        try:
            shown = os.read(terminal, 65536)
        except OSError:
            break  # Linux says so when the program has ended.
        if not shown:
            break
        os.write(1, shown)
_, status = os.waitpid(program, 0)
sys.exit(os.waitstatus_to_exitcode(status))
