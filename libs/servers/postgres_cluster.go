package servers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// clusterFormat goes into the cached cluster's name: count it up when initdb's arguments change.
const clusterFormat = "1"

// ErrPostgresMissing says that the machine has no PostgreSQL server.
var ErrPostgresMissing = errors.New("PostgreSQL's server programs (initdb, postgres) are not on this machine; " +
	"install them: apt-get install -y postgresql")

// findPostgres is the folder of the server's programs. pg_config may come with the client's development files alone, so what it names
// is looked into before it is believed.
func findPostgres(ctx context.Context, dir string) (string, error) {
	var folders []string
	if dir != "" {
		folders = []string{dir}
	} else {
		if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
			folders = append(folders, strings.TrimSpace(string(out)))
		}
		folders = append(folders, newestFirst("/usr/lib/postgresql/*/bin")...)
	}
	for _, folder := range folders {
		if executable(filepath.Join(folder, "initdb")) && executable(filepath.Join(folder, "postgres")) {
			return folder, nil
		}
	}
	if dir != "" {
		return "", fmt.Errorf("look in %s: %w", dir, ErrPostgresMissing)
	}
	return "", ErrPostgresMissing
}

// newestFirst sorts Debian's folders, one a major version, by that version as a number.
func newestFirst(pattern string) []string {
	folders, _ := filepath.Glob(pattern)
	version := func(folder string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(folder)))
		return n
	}
	slices.SortFunc(folders, func(a, b string) int { return version(b) - version(a) })
	return folders
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// newCluster makes an empty cluster in dir, with a superuser who has no password yet. initdb takes seconds, so it runs once a version and
// the result is copied.
func newCluster(ctx context.Context, bin, cache, dir string, who *account) error {
	if cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return initCluster(ctx, bin, dir, who) // a user without a home: no cache
		}
		cache = filepath.Join(base, "kontor", "postgres")
	}
	template, err := clusterTemplate(ctx, bin, cache, who)
	if err != nil {
		return err
	}
	if err := copyFolder(template, dir, who); err != nil {
		return fmt.Errorf("copy the empty cluster: %w", err)
	}
	return nil
}

// clusterTemplate is the cached cluster of this version, made under a lock by the first who needs it. A template appears by renaming,
// so that a crash leaves only a folder that the next maker clears away.
func clusterTemplate(ctx context.Context, bin, cache string, who *account) (string, error) {
	version, err := exec.CommandContext(ctx, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask PostgreSQL's version: %w", err)
	}
	name := strings.Join(strings.FieldsFunc(string(version), func(r rune) bool {
		return r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}), "-")
	template := filepath.Join(cache, name+"-"+who.name+"-"+clusterFormat)
	if _, err := os.Stat(template); err == nil {
		return template, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	lock, err := os.OpenFile(template+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("lock the cache: %w", err)
	}
	defer func() { _ = lock.Close() }()
	if err := poll(ctx, nil, func(context.Context) error { return tryLock(lock) }); err != nil {
		return "", fmt.Errorf("lock the cache: %w", err)
	}
	if _, err := os.Stat(template); err == nil {
		return template, nil
	}
	aside := template + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return "", fmt.Errorf("clear the cache: %w", err)
	}
	if err := initCluster(ctx, bin, aside, who); err != nil {
		return "", err
	}
	if err := syncFolder(aside); err != nil {
		return "", err
	}
	if err := os.Rename(aside, template); err != nil {
		return "", fmt.Errorf("keep the empty cluster: %w", err)
	}
	return template, nil
}

func initCluster(ctx context.Context, bin, dir string, who *account) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	if err := who.own(dir); err != nil {
		return err
	}
	// Trust is for the single-user step only: the access rules are written anew at each start.
	out, err := who.run(ctx, dir, "", filepath.Join(bin, "initdb"), "--username="+superuser, "--auth=trust",
		"--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums", "--no-sync", "--no-instructions")
	if err != nil {
		return fmt.Errorf("make an empty cluster: %w: %s", err, out)
	}
	return nil
}

// setPassword uses the single-user mode: no server with an open door, and the password on standard input, not among the arguments.
func setPassword(ctx context.Context, bin, dir, password string, who *account) error {
	out, err := who.run(ctx, dir, "ALTER ROLE "+superuser+" PASSWORD '"+password+"'\n",
		filepath.Join(bin, "postgres"), "--single", "-j", "-F", "-c", "exit_on_error=on", superuser)
	if err != nil {
		return fmt.Errorf("set the superuser's password: %w: %s", err, strings.ReplaceAll(out, password, "(password)"))
	}
	return nil
}

// account is the system's user that PostgreSQL runs as. It refuses to run as root.
type account struct {
	name       string
	uid, gid   int
	credential *syscall.Credential // nil: the one we already are
}

func serverUser() (*account, error) {
	if os.Geteuid() != 0 {
		return &account{name: strconv.Itoa(os.Geteuid()), uid: -1, gid: -1}, nil
	}
	u, err := user.Lookup(superuser)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no user %s to run it as "+
			"(apt-get install -y postgresql makes one): %w", superuser, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", superuser, err)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user %s: %w", superuser, err)
	}
	return &account{
		name: superuser, uid: int(uid), gid: int(gid),
		credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)},
	}, nil
}

func (a *account) own(path string) error {
	if a.credential == nil {
		return nil
	}
	if err := os.Lchown(path, a.uid, a.gid); err != nil {
		return fmt.Errorf("give %s to user %s: %w", path, a.name, err)
	}
	return nil
}

// write replaces a file in a folder of the account's. The folder is the account's to change, so the file is made anew, never written
// through whatever lies there.
func (a *account) write(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = a.own(f.Name())
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// folder is a folder under the path by which a child process reaches it.
type folder struct {
	path string
	file *os.File // nil when the plain path does
}

func (f folder) close() {
	if f.file != nil {
		_ = f.file.Close()
	}
}

// reach opens a folder for a child, as its nth inherited file. Another user may not be let through the folders above it (a home is
// closed to others), and need not be: an open folder is entered through /proc without passing them.
func (a *account) reach(dir string, nth int) (folder, error) {
	f, err := os.Open(dir)
	if err != nil {
		return folder{}, fmt.Errorf("open the server's folder: %w", err)
	}
	if a.credential == nil {
		return folder{path: dir, file: f}, nil
	}
	return folder{path: fmt.Sprintf("/proc/self/fd/%d", 3+nth), file: f}, nil
}

// run calls one of PostgreSQL's programs on a data folder and returns what it printed.
func (a *account) run(ctx context.Context, dir, input, program string, args ...string) (string, error) {
	data, err := a.reach(dir, 0)
	if err != nil {
		return "", err
	}
	defer data.close()
	cmd := exec.CommandContext(ctx, program, append([]string{"-D", data.path}, args...)...)
	if len(args) > 0 && args[0] == "--single" { // must come first
		cmd.Args = append([]string{program, "--single", "-D", data.path}, args[1:]...)
	}
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TZ=UTC")
	cmd.Stdin = strings.NewReader(input)
	cmd.ExtraFiles = []*os.File{data.file}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: a.credential}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// copyFolder copies folders and plain files, which is all an empty cluster has, for the account's use only.
func copyFolder(from, to string, who *account) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		if entry.IsDir() {
			err = os.Mkdir(target, 0o700)
		} else {
			err = copyFile(path, target)
		}
		if err != nil {
			return err
		}
		return who.own(target)
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// syncFolder has the file system write everything down, once, instead of file by file.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
