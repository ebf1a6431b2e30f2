package archtest_test

// room says what a package may bring along, directly or not.
type room struct {
	own  string       // packages of this module; "*" is any
	tech []technology // everything else that is worth a word
}

// technology is what somebody pays who imports it: prefixes of import paths.
type technology string

// rooms lists every package. One that is not listed fails the test, and so does a
// word here that no package needs.
var rooms = map[string]room{
	".":                           {"", nil},
	"client":                      {"internal/fault", []technology{http, oapi}},
	"jobs":                        {"internal/fault", nil},
	"jobs/bunjobs":                {"internal/bundb internal/fault jobs", []technology{bun}},
	"jobs/cronjobs":               {"internal/fault jobs", []technology{cron}},
	"jobs/httpjobs":               {"internal/egress internal/fault jobs", []technology{http}},
	"jobs/pgxjobs":                {"internal/fault jobs", []technology{pgxconn}},
	"jobs/jobstest":               {"internal/fault jobs", nil},
	"jobs/oteljobs":               {"internal/fault jobs", []technology{otel, http}},
	"jobs/prometheusjobs":         {"internal/fault jobs", []technology{http, prometheus}},
	"levqor":                      {"internal/fault jobs levqor/identity", nil},
	"levqor/identity":             {"internal/fault", nil},
	"levqor/levqortest":           {"internal/fault jobs levqor levqor/identity", nil},
	"levqor/bunlevqor":            {"internal/bundb internal/bunopen internal/fault jobs jobs/bunjobs levqor levqor/identity", []technology{bun, pgx, sqlite}},
	"levqor/httpapi":              {". client internal/fault jobs levqor levqor/httpapi/internal/oas levqor/identity", []technology{http, oapi, validation}},
	"levqor/httpapi/internal/oas": {"client internal/fault", []technology{http, oapi}},
	"internal/archtest":           {"", nil},
	"internal/bundb":              {"internal/fault", []technology{bun}},
	"internal/bunopen":            {"internal/fault", []technology{bun, pgx, sqlite}},
	"internal/dbtest":             {"internal/bunopen internal/fault", []technology{bun, pgx, sqlite}},
	"internal/egress":             {"", []technology{http}},
	"internal/fault":              {"", nil},
	"internal/faults":             {"", nil},
	"examples/customstore":        {"internal/fault jobs", nil},
	"examples/jobsonly":           {"internal/bundb internal/fault jobs jobs/bunjobs", []technology{bun, sqlite}},
	"examples/quickstart":         {"*", []technology{bun, pgx, sqlite}},
	"examples/server":             {"*", []technology{bun, cron, pgx, prometheus, sqlite, http, oapi, validation}},
}

const (
	http technology = "net/http"
	bun  technology = "database/sql github.com/uptrace/bun github.com/jinzhu/inflection github.com/puzpuzpuz/xsync/v3 " +
		"github.com/tmthrgd/go-hex github.com/vmihailenco/msgpack/v5 github.com/vmihailenco/tagparser/v2 golang.org/x/sys"
	pgxconn technology = "database/sql github.com/jackc/pgx/v5 github.com/jackc/pgpassfile github.com/jackc/pgservicefile golang.org/x/text"
	pgx     technology = pgxconn + " github.com/jackc/puddle/v2 golang.org/x/sync"
	sqlite  technology = "database/sql modernc.org/sqlite modernc.org/libc modernc.org/mathutil modernc.org/memory github.com/dustin/go-humanize " +
		"github.com/google/uuid github.com/mattn/go-isatty github.com/ncruces/go-strftime github.com/remyoudompheng/bigfft golang.org/x/sys"
	otel technology = "go.opentelemetry.io/otel go.opentelemetry.io/auto/sdk github.com/cespare/xxhash/v2 github.com/go-logr/logr " +
		"github.com/go-logr/stdr"
	prometheus technology = "github.com/prometheus github.com/beorn7/perks github.com/cespare/xxhash/v2 github.com/munnerz/goautoneg " +
		"google.golang.org/protobuf golang.org/x/sys"
	cron       technology = "github.com/robfig/cron/v3"
	oapi       technology = "github.com/oapi-codegen/runtime github.com/google/uuid github.com/apapsch/go-jsonmerge/v2"
	validation technology = "github.com/getkin/kin-openapi github.com/go-openapi/jsonpointer github.com/go-openapi/swag/jsonname " +
		"github.com/santhosh-tekuri/jsonschema/v6 go.yaml.in/yaml/v4 golang.org/x/text " +
		"github.com/go-playground github.com/gabriel-vasile/mimetype github.com/leodido/go-urn golang.org/x/crypto golang.org/x/sys"
)

// homes says which packages may import a technology themselves, by the patterns
// of their names. Programs may import what they like.
var homes = []struct{ imports, names string }{
	{"net/http", "client egress oas http*"},
	{"database/sql", "bun*"},
	{"github.com/uptrace/bun", "dbtest bun*"},
	{"github.com/uptrace/bun/dialect", "bundb bunopen"},
	{"github.com/jackc", "bunopen pgx*"},
	{"modernc.org", "bunopen"},
	{"github.com/oapi-codegen", "client oas"},
	{"github.com/robfig", "cronjobs"},
	{"go.opentelemetry.io", "otel*"},
	{"github.com/prometheus", "prometheusjobs"},
	{"github.com/getkin", "httpapi"},
	{"github.com/go-playground", "httpapi"},
	{"flag", ""},
	{"log", ""},
}
