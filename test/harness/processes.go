package harness

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// process is one process of the machine. Ids are used again; id and start time
// together are not.
type process struct {
	pid     int
	started string
	name    string
}

func (p process) String() string { return fmt.Sprintf("%s (%d)", p.name, p.pid) }

// look reads a process; ok is false when it has ended.
func look(pid int) (p process, parent int, ok bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, 0, false
	}
	// pid (name) state parent …; the name may hold anything.
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	fields := strings.Fields(string(raw[end+1:]))
	const state, parentField, startField = 0, 1, 19
	if open < 0 || len(fields) <= startField || fields[state] == "Z" || fields[state] == "X" {
		return p, 0, false
	}
	parent, _ = strconv.Atoi(fields[parentField])
	return process{pid: pid, started: fields[startField], name: string(raw[open+1 : end])}, parent, true
}

func allPIDs() []int {
	entries, _ := os.ReadDir("/proc")
	var pids []int
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// descendants are all processes below one.
func descendants(pid int) []process {
	var all []process
	known := []int{pid}
	pids := allPIDs()
	for grew := true; grew; {
		grew = false
		for _, child := range pids {
			p, parent, ok := look(child)
			if ok && slices.Contains(known, parent) && !slices.Contains(known, child) {
				known, all, grew = append(known, child), append(all, p), true
			}
		}
	}
	return all
}

// living are those that have not ended.
func living(processes []process) []process {
	return slices.DeleteFunc(slices.Clone(processes), func(p process) bool {
		now, _, ok := look(p.pid)
		return !ok || now.started != p.started
	})
}

// usersOf are the processes, kontor-local's or others, that were started with
// a folder among their arguments, e.g. PostgreSQL with its data in it.
func usersOf(folder string) []process {
	var users []process
	for _, pid := range allPIDs() {
		raw, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
		if err != nil || pid == os.Getpid() || !bytes.Contains(raw, []byte(folder+"/")) {
			continue
		}
		if p, _, ok := look(pid); ok {
			users = append(users, p)
		}
	}
	return users
}
