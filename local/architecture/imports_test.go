package architecture_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const module = "github.com/chat-platform/chat/"

// root is the repository, seen from this package.
const root = "../.."

// file is one Go source: the folder it lies in and what it imports.
type file struct {
	path    string // from the root, with slashes
	dir     string
	test    bool
	imports []string
}

func files(t *testing.T) []file {
	t.Helper()
	var all []file
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (strings.HasPrefix(name, ".") && path != root || name == "node_modules" || name == "data" || name == "bin") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		f := file{path: filepath.ToSlash(rel), dir: filepath.ToSlash(filepath.Dir(rel)), test: strings.HasSuffix(name, "_test.go")}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		all = append(all, f)
		return nil
	})
	require.NoError(t, err)
	require.NotEmpty(t, all, "no source found below %s", root)
	return all
}

// under tells whether a folder is one of the given ones or below it.
func under(dir string, folders ...string) bool {
	return slices.ContainsFunc(folders, func(f string) bool { return dir == f || strings.HasPrefix(dir, f+"/") })
}

// A rule says what the folders of this module may import of this module. The
// first rule whose folder matches judges a file.
type rule struct {
	folder string
	may    []string
	why    string
}

var rules = []rule{
	{"events", nil, "the contract imports nothing, so that everything may import it"},
	{"functions/internal/fixtures", []string{"events", "functions/internal", "infra/nats"}, "test support: it hands fixtures to a function that stands on a real log"},
	{"functions/internal/writertest", []string{"events", "functions/internal"}, "test support: what every writer has to keep"},
	{"functions/internal", []string{"events", "functions/internal"}, "the function runtime knows no adapter"},
	{"functions/cmd", []string{"events", "functions", "infra"}, "a main wires adapters to handlers; what a function is made of lives outside it"},
	{"functions/command", []string{"events", "functions/internal"}, "I2: a command sees the log and read interfaces that it declares itself, never an adapter, never another handler"},
	{"functions/query", []string{"events", "functions/internal"}, "a query never reaches an adapter or another handler"},
	{"functions/writer", []string{"events", "functions/internal"}, "a writer never reaches an adapter or another handler"},
	{"functions", []string{"events", "functions/command", "functions/query", "functions/writer", "functions/internal"}, "the list of functions knows all handlers and no adapter"},
	{"longrunning/cmd", []string{"events", "longrunning", "infra"}, "a main wires adapters to services"},
	{"longrunning/archiver", []string{"events", "infra/archive", "infra/nats"}, "it moves messages from the log into the archive, and knows neither's product"},
	{"longrunning", []string{"events", "longrunning/internal", "infra/nats"}, "the services speak to the log and to nobody else"},
	{"infra/archive", []string{"events", "infra/archive"}, "what segments are; object stores are adapters elsewhere"},
	{"infra/nats", []string{"events", "infra/nats"}, "an adapter knows the contract and its product"},
	{"infra/servertest", []string{"events"}, "it knows images and ports, and no adapter"},
	{"infra/redis", []string{"events", "infra/ratelimit"}, "while Redis is away, the limiter of the process judges"},
	{"infra/ratelimit", []string{"events", "infra/ratelimit"}, "limits know no product; their suite is a folder below"},
	{"infra/storetest", []string{"events", "infra/stores"}, "one suite judges all adapters, so it knows none"},
	{"infra/stores", []string{"events", "infra"}, "the one place that chooses among adapters"},
	{"infra/process", []string{"events", "infra/observability"}, "start-up is the same for every main"},
	{"infra/sqlite", []string{"events", "infra/words"}, "all search stores agree on what a word is"},
	{"infra/elasticsearch", []string{"events", "infra/words"}, "all search stores agree on what a word is"},
	{"infra/keycloak/keycloaktest", []string{"infra/keycloak", "infra/servertest"}, "test support: a realm on a real server"},
	{"infra/s3/s3test", []string{"infra/s3", "infra/servertest"}, "test support: a bucket on a real server"},
	{"infra/keycloak", []string{"events", "infra/keycloak"}, "the realm lies beside what watches it"},
	{"infra", []string{"events"}, "an adapter knows the contract and its product"},
	{"local", []string{"events", "functions", "longrunning", "infra", "local"}, "the local platform wires everything"},
}

// anyoneMay is what every folder with metrics may import: it knows nothing of the
// module.
const anyoneMay = "infra/observability/collector"

// testsMay is what tests import beyond their folder's rule: the real log, the
// real embedded stores, the real servers and the conformance suite instead of mocks.
var testsMay = []string{"infra/archive", "infra/keycloak/keycloaktest", "infra/nats", "infra/ratelimit", "infra/s3/s3test", "infra/sqlite", "infra/servertest", "infra/stores", "infra/storetest", "infra/oidc", "longrunning", "functions/internal", "functions/command", "functions/cmd/internal", "local/issuer"}

func TestImports(t *testing.T) {
	for _, f := range files(t) {
		i := slices.IndexFunc(rules, func(r rule) bool { return under(f.dir, r.folder) })
		if !assert.GreaterOrEqual(t, i, 0, "%s: no rule for this folder; state one here, with its reason", f.path) {
			continue
		}
		for _, imported := range f.imports {
			target, ours := strings.CutPrefix(imported, module)
			if !ours || target == f.dir || target == anyoneMay && f.dir != "events" {
				continue
			}
			may := rules[i].may
			if f.test {
				may = append(slices.Clone(may), testsMay...)
			}
			assert.True(t, under(target, may...), "%s imports %s, but %s may import only %v: %s", f.path, target, rules[i].folder, may, rules[i].why)
		}
	}
}

// Handlers are siblings that never meet, and the test support of one folder
// never gets into what is shipped.
func TestTestSupportStaysInTests(t *testing.T) {
	support := []string{"infra/nats/natstest", "functions/internal/fixtures", "functions/internal/writertest", "infra/keycloak/keycloaktest", "infra/ratelimit/ratelimittest", "infra/s3/s3test", "infra/servertest", "infra/storetest", "infra/stores/storestest", "infra/archive/archivetest"}
	for _, f := range files(t) {
		if f.test || under(f.dir, append(support, "local")...) {
			continue
		}
		for _, imported := range f.imports {
			assert.False(t, under(strings.TrimPrefix(imported, module), support...), "%s imports %s, which is for tests", f.path, imported)
			assert.NotEqual(t, "testing", imported, "%s imports testing", f.path)
		}
	}
}

// drivers says where each product's client may be imported.
var drivers = []struct{ module, folder string }{
	{"github.com/nats-io/nats.go", "infra/nats"},
	{"github.com/nats-io/nats-server", "infra/nats"},
	{"modernc.org/sqlite", "infra/sqlite"},
	{"database/sql", "infra/sqlite"},
	{"github.com/coreos/go-oidc", "infra/oidc"},
	{"github.com/gocql/gocql", "infra/cassandra"},
	{"github.com/apache/cassandra-gocql-driver", "infra/cassandra"},
	{"go.mongodb.org/mongo-driver", "infra/mongodb"},
	{"github.com/elastic/go-elasticsearch", "infra/elasticsearch"},
	{"github.com/redis/go-redis", "infra/redis"},
	{"github.com/klauspost/compress", "infra/archive"},
	{"github.com/minio/minio-go", "infra/s3"},
	{"github.com/prometheus/client_golang/prometheus/promhttp", "infra/observability"},
	{"go.opentelemetry.io/otel/sdk", "infra/observability"},
	{"go.opentelemetry.io/otel/exporters", "infra/observability"},
}

func TestDriversLiveInTheirAdapter(t *testing.T) {
	for _, f := range files(t) {
		if f.test {
			continue // a test may look at a product from outside
		}
		for _, imported := range f.imports {
			for _, d := range drivers {
				if imported == d.module || strings.HasPrefix(imported, d.module+"/") {
					assert.True(t, under(f.dir, d.folder), "%s imports %s; only %s may", f.path, imported, d.folder)
				}
			}
		}
	}
}

// I2: nothing that a command or a query is linked with can write a store. Only
// function mains see stores, and theirs open them to read and name no writing
// method.
func TestOnlyWritersNameAStoresWriteSide(t *testing.T) {
	opensToWrite := regexp.MustCompile(`\b(messages|metadata|search)\.Open\b`)
	writes := []string{"PutMessages", "PutChannels", "PutMembers", "IndexMessages"}
	folders := []string{"functions/internal/membership"}
	for _, side := range []string{"functions/command/", "functions/query/"} {
		handlers, err := os.ReadDir(filepath.Join(root, side))
		require.NoError(t, err)
		for _, h := range handlers {
			folders = append(folders, side+h.Name(), "functions/cmd/"+h.Name())
		}
	}
	seen := 0
	for _, f := range files(t) {
		if f.test || !under(f.dir, folders...) {
			continue
		}
		seen++
		source, err := os.ReadFile(filepath.Join(root, f.path))
		require.NoError(t, err)
		for _, w := range writes {
			assert.NotContains(t, string(source), w, "I2: %s names %s", f.path, w)
		}
		assert.NotRegexp(t, opensToWrite, string(source), "I2: %s opens a store to write", f.path)
	}
	assert.NotZero(t, seen, "no command or query found")
}

func TestFolderNamesSaySomething(t *testing.T) {
	empty := []string{"util", "utils", "helper", "helpers", "common", "base", "types", "misc", "shared"}
	for _, f := range files(t) {
		for part := range strings.SplitSeq(f.dir, "/") {
			assert.NotContains(t, empty, part, "%s: a folder's name has to say what it is for", f.path)
		}
	}
}

// Every package opens with its promise.
func TestPackagesHaveAComment(t *testing.T) {
	documented := map[string]bool{}
	for _, f := range files(t) {
		if f.test {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, f.path), nil, parser.PackageClauseOnly|parser.ParseComments)
		require.NoError(t, err)
		documented[f.dir] = documented[f.dir] || parsed.Doc != nil
	}
	for dir, ok := range documented {
		assert.True(t, ok, "no file in %s has a package comment", dir)
	}
}
