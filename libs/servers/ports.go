package servers

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
)

// Ports are taken from below the range that Linux gives to outgoing connections (32768 on). Otherwise, while a server is restarted, one
// of its own clients' connections could be given its port, or even connect to itself.
const (
	lowestPort  = 16384
	highestPort = 32767
	portTries   = 200
)

var errNoPort = errors.New("no free port found on 127.0.0.1")

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// FreePort finds a port on 127.0.0.1 that can be bound right now and that no
// outgoing connection is given.
func FreePort() (int, error) { return freePort() }

// freePort finds a port that can be bound right now, and that no other process that asks here is given while this one lives: between finding
// and binding it others look for ports too. A stranger may still be quicker: starters try again with another.
func freePort() (int, error) {
	for range portTries {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1) //nolint:gosec // any free port will do
		mine, err := claim(port)
		if err != nil {
			return 0, err
		}
		if mine && portFree(port) {
			return port, nil
		}
	}
	return 0, errNoPort
}

// claims are the locks of the ports that this process was given. They end with it.
var claims struct {
	sync.Mutex
	locks []*os.File
}

// claim says whether a port is this process's from now on.
func claim(port int) (mine bool, err error) {
	folder := filepath.Join(os.TempDir(), fmt.Sprintf("kontor-ports-%d", os.Getuid()))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return false, fmt.Errorf("servers: ports: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(folder, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return false, fmt.Errorf("servers: ports: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return false, lock.Close()
	}
	claims.Lock()
	defer claims.Unlock()
	claims.locks = append(claims.locks, lock)
	return true, nil
}

// portFree binds the port and lets it go. Listening sets SO_REUSEADDR, like the servers do, so that connections of an earlier life in
// TIME_WAIT don't count.
func portFree(port int) bool {
	l, err := net.Listen("tcp4", address(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}

// withPort starts something on the wanted port, or on free ones until one works. start says by errBusy that the port was taken.
func withPort(wanted int, start func(port int) error) error {
	if wanted != 0 {
		return start(wanted)
	}
	var err error
	for range 10 {
		var port int
		if port, err = freePort(); err != nil {
			return err
		}
		if err = start(port); !errors.Is(err, errBusy) {
			return err
		}
	}
	return fmt.Errorf("every port tried was taken meanwhile: %w", err)
}
