// Package composecheck tries docker-compose.yml as far as it goes without a
// container engine: the file itself, the images' recipe, and the settings of
// every program, read by the program's own loader from what kontor-prepare made.
package composecheck

import (
	"context"
	"crypto/tls"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/jackc/pgx/v5"
	natsserver "github.com/nats-io/nats-server/v2/server"

	"kontor.internal/libs/mtls"
	"kontor.internal/libs/servers/servertest"
	"kontor.internal/test/internal/programs"
)

// shown is where each container finds its part of the installation.
const shown = "/run/kontor"

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func project(t *testing.T) *types.Project {
	t.Helper()
	dir := root(t)
	options, err := cli.NewProjectOptions([]string{filepath.Join(dir, "docker-compose.yml")}, cli.WithWorkingDirectory(dir))
	if err != nil {
		t.Fatal(err)
	}
	p, err := options.LoadProject(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// installation is a folder as `prepare` makes it.
func installation(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "kontor-prepare")
	run(t, filepath.Join(root(t), "deploy", "local"), "go", "build", "-o", binary, "./cmd/kontor-prepare")
	dir := t.TempDir()
	run(t, dir, binary, "-dir", dir, "-layout", filepath.Join(root(t), "deploy", "docker", "installation.yaml"))
	return dir
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// part is the folder of the installation that a container is shown.
func part(s types.ServiceConfig) string {
	for _, volume := range s.Volumes {
		if volume.Source == "installation" && volume.Target == shown && volume.ReadOnly && volume.Volume != nil {
			return volume.Volume.Subpath
		}
	}
	return ""
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestEveryProgramIsBuiltFromTheOneDockerfile(t *testing.T) {
	p, dir := project(t), root(t)
	dockerfile := read(t, dir, "Dockerfile")
	stages := regexp.MustCompile(`(?m)^FROM \S+ AS (\S+)$`).FindAllStringSubmatch(dockerfile, -1)
	folder := map[string]string{"gateway": "gateway", "kontor-prepare": "deploy/local"}

	var built []string
	for name, s := range p.Services {
		if s.Build == nil {
			continue
		}
		built = append(built, name)
		program := *s.Build.Args["SERVICE"]
		if want := map[string]string{"prepare": "kontor-prepare"}[name]; program != name && program != want {
			t.Errorf("%s is built from %s", name, program)
		}
		if s.Build.Dockerfile != "Dockerfile" || s.Build.Context != dir {
			t.Errorf("%s is built from %s in %s", name, s.Build.Dockerfile, s.Build.Context)
		}
		main := filepath.Join(dir, folder[program], "cmd", program)
		if folder[program] == "" {
			main = filepath.Join(dir, "services", program, "cmd", program)
		}
		if _, err := os.Stat(filepath.Join(main, "main.go")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if runtime := s.Build.Args["RUNTIME"]; runtime != nil &&
			!slices.ContainsFunc(stages, func(stage []string) bool { return stage[1] == *runtime }) {
			t.Errorf("%s: the Dockerfile has no stage %s", name, *runtime)
		}
	}
	want := []string{"prepare"}
	for _, program := range programs.All() {
		want = append(want, program.Name)
	}
	slices.Sort(built)
	slices.Sort(want)
	if !slices.Equal(built, want) {
		t.Errorf("built are %v, programs are %v", built, want)
	}
}

func TestEveryProgramTakesItsSettings(t *testing.T) {
	p, made := project(t), installation(t)
	for _, program := range programs.All() {
		t.Run(program.Name, func(t *testing.T) {
			s, err := p.GetService(program.Name)
			if err != nil {
				t.Fatal(err)
			}
			folder := filepath.Join(made, part(s))
			var environ []string
			for name, value := range s.Environment {
				local := strings.Replace(*value, shown+"/", folder+"/", 1)
				if local != *value {
					if _, err := os.Stat(local); err != nil {
						t.Errorf("%s: %v", name, err)
					}
				}
				environ = append(environ, name+"="+local)
			}
			if err := program.Load(environ); err != nil {
				t.Error(err)
			}
			for _, key := range program.Keys {
				if _, written := s.Environment[key.Variable]; key.Secret && written {
					t.Errorf("%s is a secret and stands in the file", key.Variable)
				}
				peer, named := strings.CutSuffix(key.Name, "_addrs")
				if !named || !slices.ContainsFunc(programs.All(), func(other programs.Program) bool { return other.Name == peer }) {
					continue
				}
				value := s.Environment[key.Variable]
				if value == nil {
					t.Errorf("%s is not told %s", program.Name, key.Variable)
					continue
				}
				answers(t, p, key.Name, *value)
			}
		})
	}
}

// answers checks that an address's host is the service that the key names, at
// the port that it listens on.
func answers(t *testing.T, p *types.Project, key, value string) {
	t.Helper()
	host, port, err := net.SplitHostPort(value)
	if err != nil || host+"_addrs" != key {
		t.Errorf("%s is %s (%v)", key, value, err)
		return
	}
	s, err := p.GetService(host)
	if err != nil {
		t.Errorf("%s: %v", key, err)
		return
	}
	if listen := s.Environment["KONTOR_LISTEN"]; listen == nil || !strings.HasSuffix(*listen, ":"+port) {
		t.Errorf("%s is %s, and %s does not listen there", key, value, host)
	}
}

func TestEveryContainerSeesItsOwnPartOnly(t *testing.T) {
	p, made := project(t), installation(t)
	for name, s := range p.Services {
		for _, volume := range s.Volumes {
			switch {
			case volume.Type == types.VolumeTypeBind:
				if _, err := os.Stat(volume.Source); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			case volume.Source == "installation" && name != "prepare":
				if part(s) != name {
					t.Errorf("%s is shown the installation's folder %q, read-only or not", name, part(s))
				}
				if _, err := os.Stat(filepath.Join(made, name)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
		for _, word := range slices.Concat(s.Command, slices.Collect(values(s.Environment))) {
			for _, path := range regexp.MustCompile(shown+`/[^\s&]+`).FindAllString(word, -1) {
				if _, err := os.Stat(strings.Replace(path, shown, filepath.Join(made, name), 1)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
		}
	}
}

func values(environment types.MappingWithEquals) func(func(string) bool) {
	return func(yield func(string) bool) {
		for _, value := range maps.All(environment) {
			if value != nil && !yield(*value) {
				return
			}
		}
	}
}

func TestTheDatabasesAreMadeForTheirServices(t *testing.T) {
	p, made := project(t), installation(t)
	ctx := t.Context()
	admin, err := pgx.Connect(ctx, servertest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = admin.Close(context.WithoutCancel(ctx)) }()

	for _, cluster := range []string{"postgres", "companies"} {
		if _, err := p.GetService(cluster); err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(read(t, made, cluster, "init.sql"), ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := admin.Exec(ctx, statement); err != nil {
				t.Errorf("%s: %v", cluster, err)
			}
		}
	}
	for _, program := range programs.All() {
		dsn := filepath.Join(made, program.Name, "postgres_dsn")
		if _, err := os.Stat(dsn); err != nil {
			continue
		}
		service, err := pgx.ParseConfig(strings.Replace(read(t, dsn), shown, filepath.Join(made, program.Name), 1))
		if err != nil {
			t.Error(err)
			continue
		}
		if service.TLSConfig == nil || service.TLSConfig.ServerName != service.Host || len(service.Fallbacks) > 0 {
			t.Errorf("%s does not verify its database's certificate", program.Name)
		}
		asService := admin.Config().Copy()
		asService.User, asService.Password, asService.Database = service.User, service.Password, service.Database
		conn, err := pgx.ConnectConfig(ctx, asService)
		if err != nil {
			t.Errorf("%s: %v", program.Name, err)
			continue
		}
		if _, err := conn.Exec(ctx, "CREATE TABLE mine (id int)"); err != nil {
			t.Errorf("%s can't write to its database: %v", program.Name, err)
		}
		if err := conn.Close(ctx); err != nil {
			t.Error(err)
		}
	}
}

func TestTheEventServerTakesItsSettings(t *testing.T) {
	made := installation(t)
	folder := filepath.Join(made, "nats")
	file := filepath.Join(t.TempDir(), "nats.conf")
	local := strings.ReplaceAll(read(t, folder, "nats.conf"), shown, folder)
	if err := os.WriteFile(file, []byte(local), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := natsserver.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	verified := options.TLSConfig != nil && options.TLSConfig.ClientAuth == tls.RequireAndVerifyClientCert
	if !options.JetStream || !options.SyncAlways || !verified || options.Authorization == "" {
		t.Errorf("JetStream %v, synced %v, clients verified %v, token %t",
			options.JetStream, options.SyncAlways, verified, options.Authorization != "")
	}
	identity := filepath.Join(made, "identity")
	if _, err := mtls.ClientConfig(mtls.Files{
		CA: filepath.Join(identity, "ca.crt"), Cert: filepath.Join(identity, "tls.crt"), Key: filepath.Join(identity, "tls.key"),
	}, "nats"); err != nil {
		t.Error(err)
	}
}
