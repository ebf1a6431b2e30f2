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
	"client":                      {"internal/fault internal/webhooksig", []technology{http, oapi}},
	"jobs":                        {"internal/fault internal/timeid", nil},
	"jobs/bunjobs":                {"internal/bundb internal/fault internal/timeid jobs", []technology{bun}},
	"jobs/cronjobs":               {"internal/fault internal/timeid jobs", []technology{cron}},
	"jobs/httpjobs":               {"internal/egress internal/fault internal/timeid jobs", []technology{http}},
	"jobs/pgxjobs":                {"internal/fault internal/pgxurl internal/timeid jobs", []technology{pgxconn}},
	"jobs/jobstest":               {"internal/fault internal/timeid jobs", nil},
	"jobs/oteljobs":               {"internal/fault internal/timeid jobs", []technology{otel, http}},
	"jobs/prometheusjobs":         {"internal/fault internal/timeid jobs", []technology{http, prometheus}},
	"levqor":                      {"internal/fault internal/timeid jobs levqor/factor levqor/guard levqor/identity levqor/login levqor/sso", []technology{unicode}},
	"levqor/guard":                {"internal/fault internal/timeid", nil},
	"levqor/identity":             {"internal/fault internal/timeid", []technology{unicode}},
	"levqor/login":                {"internal/fault internal/timeid levqor/identity", []technology{unicode}},
	"levqor/levqortest":           {"internal/fault internal/timeid jobs levqor levqor/factor levqor/guard levqor/identity levqor/login levqor/sso", []technology{unicode}},
	"levqor/bunlevqor":            {"internal/bundb internal/bunopen internal/fault internal/pgxurl internal/timeid jobs jobs/bunjobs levqor levqor/factor levqor/guard levqor/identity levqor/login levqor/sso", []technology{bun, pgx, sqlite, unicode}},
	"levqor/httpapi":              {". client internal/fault internal/timeid internal/webhooksig jobs levqor levqor/factor levqor/guard levqor/httpapi/internal/oas levqor/httpguard levqor/identity levqor/login levqor/sso", []technology{http, oapi, validation, unicode}},
	"levqor/httpguard":            {"internal/fault internal/timeid levqor/guard", []technology{http}},
	"levqor/httplogin":            {"internal/fault internal/timeid levqor/guard levqor/httpguard levqor/identity levqor/login", []technology{http, unicode}},
	"levqor/web":                  {"internal/egress internal/fault internal/timeid jobs levqor levqor/factor levqor/guard levqor/httpguard levqor/httplogin levqor/identity levqor/login levqor/oidclogin levqor/qrfactor levqor/sso levqor/webauthnfactor", []technology{http, oidc, qr, webauthn, unicode}},
	"levqor/factor":               {"internal/fault internal/timeid levqor/identity", []technology{unicode}},
	"levqor/qrfactor":             {"internal/fault", []technology{qr}},
	"levqor/webauthnfactor":       {"internal/fault internal/timeid levqor/factor levqor/identity", []technology{webauthn, http, unicode}},
	"levqor/smtpnotify":           {"internal/fault internal/timeid jobs levqor levqor/factor levqor/guard levqor/identity levqor/login levqor/sso", []technology{smtp, unicode}},
	"levqor/sso":                  {"internal/fault internal/timeid levqor/identity", []technology{unicode}},
	"levqor/oidclogin":            {"internal/egress internal/fault internal/timeid jobs levqor levqor/factor levqor/guard levqor/httpguard levqor/identity levqor/login levqor/sso", []technology{http, oidc, unicode}},
	"levqor/httpapi/internal/oas": {"client internal/fault internal/webhooksig", []technology{http, oapi}},
	"internal/archtest":           {"", nil},
	"internal/asvs":               {"", nil},
	"internal/bundb":              {"internal/fault", []technology{bun}},
	"internal/bunopen":            {"internal/fault internal/pgxurl", []technology{bun, pgx, sqlite}},
	"internal/dbtest":             {"internal/bunopen internal/fault internal/pgxurl", []technology{bun, pgx, sqlite}},
	"internal/egress":             {"", []technology{http}},
	"internal/fault":              {"", nil},
	"internal/faults":             {"", nil},
	"internal/pgxurl":             {"", []technology{pgxconn}},
	"internal/testlog":            {"", nil},
	"internal/timeid":             {"", nil},
	"internal/webhooksig":         {"", nil},
	"examples/customstore":        {"internal/fault internal/timeid jobs", nil},
	"examples/jobsonly":           {"internal/bundb internal/fault internal/timeid jobs jobs/bunjobs", []technology{bun, sqlite}},
	"examples/ownauth":            {"*", []technology{bun, pgx, sqlite, http, oapi, validation, unicode}},
	"examples/quickstart":         {"*", []technology{bun, pgx, sqlite, unicode}},
	"examples/server":             {"*", []technology{bun, cron, oidc, pgx, prometheus, qr, smtp, sqlite, http, oapi, validation, webauthn, unicode}},
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
	// An e-mail address is what a person is known by, and its domain and its spellings have
	// rules that change with Unicode: written by ourselves they would be wrong, and behind
	// an interface each host could tell other people apart than the next one. They are
	// tables and pure functions.
	unicode technology = "golang.org/x/net golang.org/x/text"
	// WebAuthn's formats and those of attestations, which the library reads though nobody asks for them.
	webauthn technology = "github.com/go-webauthn github.com/fxamacker/cbor/v2 github.com/x448/float16 github.com/go-viper/mapstructure/v2 " +
		"github.com/golang-jwt/jwt/v5 github.com/google/go-tpm github.com/google/uuid github.com/philhofer/fwd github.com/tinylib/msgp " +
		"golang.org/x/crypto golang.org/x/sys"
	qr   technology = "github.com/piglig/go-qr"
	smtp technology = "github.com/wneessen/go-mail golang.org/x/crypto"
	// The checks of an ID token are where a mistake lets strangers in, so they are those of a
	// library that many read; go-jose comes with it.
	oidc       technology = "github.com/coreos/go-oidc/v3 github.com/go-jose/go-jose/v4 golang.org/x/oauth2"
	cron       technology = "github.com/robfig/cron/v3"
	oapi       technology = "github.com/oapi-codegen/runtime github.com/google/uuid github.com/apapsch/go-jsonmerge/v2"
	validation technology = "github.com/getkin/kin-openapi github.com/go-openapi/jsonpointer github.com/go-openapi/swag/jsonname " +
		"github.com/santhosh-tekuri/jsonschema/v6 go.yaml.in/yaml/v4 golang.org/x/text " +
		"github.com/go-playground github.com/gabriel-vasile/mimetype github.com/leodido/go-urn golang.org/x/crypto golang.org/x/sys"
)

// homes says which packages may import a technology themselves, by the patterns
// of their names. Programs may import what they like.
var homes = []struct{ imports, names string }{
	{"net/http", "client egress oas http* oidclogin web"}, // what oidclogin does is requests and redirects
	{"github.com/coreos/go-oidc", "oidclogin"},
	{"golang.org/x/oauth2", "oidclogin"},
	{"database/sql", "bun*"},
	{"github.com/uptrace/bun", "dbtest bun*"},
	{"github.com/uptrace/bun/dialect", "bundb bunopen"},
	{"github.com/jackc", "bunopen pgx*"},
	{"modernc.org", "bunopen"},
	{"github.com/oapi-codegen", "client oas"},
	{"github.com/robfig", "cronjobs"},
	{"github.com/go-webauthn", "webauthnfactor"},
	{"github.com/piglig", "qrfactor"},
	{"github.com/wneessen", "smtpnotify"},
	{"go.opentelemetry.io", "otel*"},
	{"golang.org/x/net", "identity"},
	{"golang.org/x/text", "identity"},
	{"github.com/prometheus", "prometheusjobs"},
	{"github.com/getkin", "httpapi"},
	{"github.com/go-playground", "httpapi"},
	{"flag", ""},
	{"log", ""},
}
