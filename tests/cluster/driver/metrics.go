package main

import (
	"fmt"
	"net/http"
	"sort"
	"strings"
	"sync"
)

// Reasons of failures, as the driver's metrics call them.
const (
	reasonMount    = "FailedToMount"
	reasonEnsure   = "FailedToEnsureMountPoint"
	reasonClass    = "SecretProviderClassNotFound"
	reasonProvider = "GRPCProviderError"
	reasonWrite    = "FileWriteError"
	reasonRotate   = "FailedToRotate"
)

// metrics counts what the driver counts, by the same names and labels.
type metrics struct {
	mutex  sync.Mutex
	counts map[string]int
}

// count adds one to a counter; labels are pairs of name and value.
func (m *metrics) count(name string, labels ...string) {
	pairs := []string{`os_type="linux"`}
	for i := 0; i+1 < len(labels); i += 2 {
		pairs = append(pairs, fmt.Sprintf("%s=%q", labels[i], labels[i+1]))
	}
	sort.Strings(pairs)
	m.mutex.Lock()
	defer m.mutex.Unlock()
	if m.counts == nil {
		m.counts = map[string]int{}
	}
	m.counts[name+"{"+strings.Join(pairs, ",")+"}"]++
}

// ServeHTTP answers in Prometheus' text format.
func (m *metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	lines := make([]string, 0, len(m.counts))
	for series, n := range m.counts {
		lines = append(lines, fmt.Sprintf("%s %d\n", series, n))
	}
	sort.Strings(lines)
	_, _ = fmt.Fprint(w, strings.Join(lines, ""))
}
