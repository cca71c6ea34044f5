package main

import (
	"errors"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// hold waits until it is told to end, collecting orphans meanwhile. As process
// 1 of a process namespace it keeps the namespaces alive; when it ends, the
// kernel ends everything else in them and drops their mounts.
func hold() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGCHLD)
	for s := range signals {
		if s != unix.SIGCHLD {
			return
		}
		for reapOne() {
		}
	}
}

// reapOne collects one ended child and reports whether there was one.
func reapOne() bool {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if !errors.Is(err, unix.EINTR) {
			return err == nil && pid > 0
		}
	}
}
