"""contain.py ROOT UID PROGRAM ARGUMENT...: PROGRAM in ROOT, as UID, with no capabilities,
as a hardened container runs it. Of the environment only PHASE_SERVICE_TOKEN is left."""

import ctypes
import os
import sys

root, uid, *command = sys.argv[1:]
uid = int(uid)
prctl = ctypes.CDLL(None).prctl
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38

os.chroot(root)
os.chdir("/")
for capability in range(64):
    prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
if prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
    sys.exit("no_new_privs was refused")
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
token = os.environ.get("PHASE_SERVICE_TOKEN")
os.execve(command[0], command, {"PHASE_SERVICE_TOKEN": token} if token else {})
