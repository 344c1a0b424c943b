"""Becomes a child of the supervisor: takes its user, dies with its parent, then turns into the command.

Run as a script by path with `-I -S`, so it uses the standard library alone:
    launch.py <signal at the parent's death> <pid of the parent> <user or -> <command> [argument…]
"""

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
PARENT_GONE = 125


def become(user: str) -> None:
    """Gives up root for `user` (a name of the machine), all of its groups included."""
    entry = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def main() -> None:
    death_signal, parent, user, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    if user != "-":
        become(user)
    # After the change of user, which would clear it; before the check, so that no death goes unseen.
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        os._exit(PARENT_GONE)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
