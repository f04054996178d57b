package full

import (
	"context"
	_ "embed" // compose.yaml
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"
)

//go:embed compose.yaml
var composeFile string

// compose is the tool that is there, for one project.
type compose struct {
	command []string
	project string
	env     []string
	environ map[string]string
}

// findCompose takes compose v2 or else docker-compose, and says in one line what
// is missing.
func findCompose(ctx context.Context, cfg Config, environ map[string]string) (*compose, error) {
	c := &compose{project: cfg.Project, environ: environ}
	for name, value := range environ {
		c.env = append(c.env, name+"="+value)
	}
	for _, v := range cfg.ports() {
		c.env = append(c.env, v.name+"="+v.value)
	}
	realms, err := cfg.realmDir()
	if err != nil {
		return nil, err
	}
	c.env = append(c.env, "FULL_REALM_DIR="+realms)
	if _, err := exec.LookPath("docker"); err != nil {
		return nil, errors.New("docker is missing, and the servers run in containers: install Docker, or run the platform without servers")
	}
	if _, err := c.output(ctx, "", "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		return nil, fmt.Errorf("no container engine answers: %w", err)
	}
	if _, err := c.output(ctx, "", "docker", "compose", "version"); err == nil {
		c.command = []string{"docker", "compose"}
		return c, nil
	}
	if _, err := exec.LookPath("docker-compose"); err == nil {
		c.command = []string{"docker-compose"}
		return c, nil
	}
	return nil, errors.New("neither `docker compose` nor `docker-compose` is there: install one of them")
}

func (c *compose) String() string { return strings.Join(c.command, " ") }

// run runs a command of compose.
func (c *compose) run(ctx context.Context, args ...string) error {
	all := append(append(c.command[1:len(c.command):len(c.command)], "-p", c.project, "-f", "-"), args...)
	_, err := c.output(ctx, composeFile, c.command[0], all...)
	return err
}

// output gives what a command has said. The error is the last thing of that.
func (c *compose) output(ctx context.Context, stdin, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // docker or compose, with arguments of this package
	cmd.WaitDelay = time.Second
	cmd.Env, cmd.Stdin = c.env, strings.NewReader(stdin)
	said, err := cmd.CombinedOutput()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", fmt.Errorf("%s %s: %s", name, firstWord(args), lastWords(string(said), err.Error()))
	}
	return string(said), nil
}

// firstWord is the first argument that is no flag and no flag's value.
func firstWord(args []string) string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == "-p" || args[i] == "-f":
			i++
		case args[i] != "compose":
			return args[i]
		}
	}
	return ""
}

// lastWords is the last line that says something.
func lastWords(said, otherwise string) string {
	lines := strings.Split(said, "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		noise := line == "" || strings.HasPrefix(line, "at ") || strings.HasPrefix(line, "... ") || // of a stack
			strings.Contains(line, "Encountered errors while bringing up the project")
		if !noise {
			return strings.TrimPrefix(line, "ERROR: ")
		}
	}
	return otherwise
}

// container is a server as the engine sees it.
type container struct {
	name string
	up   bool
}

// containers are the project's, by service.
func (c *compose) containers(ctx context.Context) (map[string]container, error) {
	out, err := c.output(ctx, "", "docker", "ps", "--all", "--filter", "label=com.docker.compose.project="+c.project,
		"--format", `{{.Label "com.docker.compose.service"}}|{{.Names}}|{{.Status}}`)
	if err != nil {
		return nil, err
	}
	all := map[string]container{}
	for line := range strings.Lines(out) {
		if f := strings.SplitN(strings.TrimSpace(line), "|", 3); len(f) == 3 {
			all[f[0]] = container{name: f[1], up: !strings.HasPrefix(f[2], "Exited") && !strings.HasPrefix(f[2], "Dead")}
		}
	}
	return all, nil
}

// start brings up what is not up, after it has made sure of images and ports.
func (c *compose) start(ctx context.Context, all []server, out io.Writer) error {
	there, err := c.containers(ctx)
	if err != nil {
		return err
	}
	for _, s := range all {
		if !there[s.name].up {
			if err := free(ctx, s); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		if err := c.image(ctx, s.name, out); err != nil {
			return err
		}
	}
	return c.run(ctx, "up", "-d", "--remove-orphans")
}

// free makes sure that nobody has a server's port.
func free(ctx context.Context, s server) error {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(int(s.port)))
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("%s, for %s, is taken: end what listens there, or set FULL_%s_PORT to another port", address, s.name, strings.ToUpper(s.name))
	}
	return ln.Close()
}

var pinned = regexp.MustCompile(`(?m)^ +image: \$\{([A-Z]+)_IMAGE:-([^}]+)\}$`)

// image makes sure that the engine has a server's image.
func (c *compose) image(ctx context.Context, name string, out io.Writer) error {
	variable := strings.ToUpper(name) + "_IMAGE"
	image := c.environ[variable]
	for _, m := range pinned.FindAllStringSubmatch(composeFile, -1) {
		if image == "" && m[1]+"_IMAGE" == variable {
			image = m[2]
		}
	}
	if _, err := c.output(ctx, "", "docker", "image", "inspect", image); err == nil {
		return nil
	}
	fmt.Fprintf(out, "  %-14s fetching %s\n", name, image)
	if _, err := c.output(ctx, "", "docker", "pull", "--quiet", image); err != nil {
		return fmt.Errorf("the image of %s cannot be had, set %s to another: %w", name, variable, err)
	}
	return nil
}

// ended is the error of a server that has ended by itself, nil if none has.
func (c *compose) ended(ctx context.Context) error {
	there, err := c.containers(ctx)
	if err != nil {
		return nil //nolint:nilerr // the probes tell, and whoever waits has a limit
	}
	for service, one := range there {
		if !one.up {
			said, _ := c.output(ctx, "", "docker", "logs", "--tail", "100", one.name)
			return fmt.Errorf("%s has ended by itself (docker logs %s): %s", service, one.name, lastWords(said, "it said nothing"))
		}
	}
	return nil
}
