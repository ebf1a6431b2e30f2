// Package levqor composes the rooms of the SDK on one database into a service:
// one [App], one lifecycle, one set of keys.
//
//	db, err := bunlevqor.Open("sqlite://levqor.db")
//	err = bunlevqor.Migrate(ctx, db)
//	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: secret})
//	err = httpjobs.Register(app.Registry, nil)
//	handler, err := httpapi.New(app, nil)
//	go http.ListenAndServe(addr, handler)
//	err = app.Run(ctx) // works off jobs and fires schedules until ctx ends, then drains
//
// Any number of processes may run on one PostgreSQL database, or on one SQLite
// file on one machine: all that they share is in the database.
package levqor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// Options configure an [App]. The zero value of each field means its default;
// Secret has none.
type Options struct {
	// Secret seeds the keys of the service: at least [MinSecret] bytes from a
	// random source, the same on all nodes.
	Secret []byte
	// OldSecrets still open what they sealed and honour the API keys that they
	// hashed. [App.Reseal] seals anew by Secret what they sealed. An API key is hashed anew
	// when it is used; one that is not used before its secret is removed ends with it, as
	// recovery codes, open invitations, what undoes changes of addresses and cursors of lists do
	// that were made under it.
	// Entries of the security log from before cannot be verified without it, so keep it for
	// SecurityLogRetention. To replace a secret under load, first give all nodes the new one
	// here, since a node that lacks it cannot open what others seal by it. Default: none.
	OldSecrets [][]byte
	// Environment is that of the service, [identity.Live] or [identity.Test]: API keys
	// of the other are refused. Default: identity.Live.
	Environment string
	// Scopes are those that API keys can have, for hosts with scopes of their own
	// beside those of httpapi.Scopes. Default: those that httpapi knows over HTTP, any
	// in process.
	Scopes []string
	// Validator checks job arguments by their tags. Default: none.
	Validator jobs.Validator
	// Worker configures how jobs are worked off; its Logger and Now are those of
	// the App unless set. Default: that of [jobs.NewWorker].
	Worker *jobs.WorkerOptions
	// Timetables reads the plans of schedules that are neither intervals nor single
	// times, such as [github.com/levqor/sdk/jobs/cronjobs.Parse]. Default: none.
	Timetables jobs.TimetableParser
	// Signals tell nodes at once what others have taken in and cancelled, such as those
	// of [github.com/levqor/sdk/jobs/pgxjobs.Open]. Default: none; nodes look for it.
	Signals jobs.Signals
	// Intake hooks wrap what takes jobs in; see [jobs.RegistryOptions]. Default: none.
	Intake []jobs.IntakeHook
	// Execution hooks wrap each attempt; see [jobs.RegistryOptions]. Default: none.
	Execution []jobs.ExecutionHook
	// Limits say how often callers may do what. Default: those of [guard.Limits].
	Limits guard.Limits
	// SecurityLogRetention is how long the security log is kept; see [guard.LogOptions].
	// Default: 400 days.
	SecurityLogRetention time.Duration
	// NoWorker makes a node that takes jobs in, works none off and fires no
	// schedules.
	NoWorker bool
	// UserErasers erase what users leave behind; see [identity.DirectoryOptions]. Default: none.
	UserErasers []identity.UserEraser
	// TenantErasers erase what belongs to tenants; see there. Default: none.
	TenantErasers []identity.TenantEraser
	// Mailer sends the mail of the service: the links by which people sign in, invitations,
	// what has become of their second factors.
	// Default: none; what needs it is refused with ErrNoMailer, and nobody is told of factors.
	Mailer Mailer
	// PublicURL is where people find the service, such as "https://app.example.com": an
	// absolute http or https URL without user, query and fragment. The links that the
	// service hands out begin with it. It is needed with a Mailer.
	// Default without one: http://localhost:8080.
	PublicURL string
	// SignUp lets people with a new address sign in, which makes a user. Default: false;
	// somebody has to be there already.
	SignUp bool
	// Sessions say how long people stay signed in. Its Now is that of the App. Default:
	// see [login.SessionsOptions].
	Sessions login.SessionsOptions
	// ResealSteps seal anew what a host keeps sealed by [KeyRing.Sealer]; they run within
	// [App.Reseal]. Default: none.
	ResealSteps []ResealStep
	// Factors configures people's second factors; its Now is that of the App unless set.
	// Default: owners and admins of any tenant must have one, and codes of a user's app are
	// looked at 5 times a minute, 20 an hour and 100 a day.
	Factors *factor.Options
	// TXT looks up the DNS records that prove the domains of identity providers. Default:
	// that of [sso.New].
	TXT sso.TXTLookup
	// Logger gets what no caller can be told. Default: discard.
	Logger *slog.Logger
	// Now replaces the stores' clock, for tests. Default: the stores' clock.
	Now func() time.Time
}

// App is the service. Its fields are for use, not for change.
type App struct {
	// Jobs takes jobs in; use [jobs.Queue.ForTenant] for a tenant's.
	Jobs *jobs.Queue
	// Schedules keeps recurring work; use [jobs.Schedules.ForTenant] for a tenant's.
	Schedules *jobs.Schedules
	// Queues are the settings of queues, which hold for all tenants.
	Queues *jobs.Queues
	// Registry knows the kinds of jobs. Register them before Run.
	Registry *jobs.Registry
	// Keys makes and checks API keys.
	Keys *identity.Keys
	// Directory knows people, tenants and who is a member of which.
	Directory *identity.Directory
	// Addresses moves users to other addresses, and back; see [App.BeginEmailChange].
	Addresses *identity.Addresses
	// Invitations offer places in tenants; see also [App.Invite] and [App.AcceptInvitation].
	Invitations *identity.Invitations
	// Links lets people prove that an address is theirs; see [App.BeginLogin].
	Links *login.Links
	// Sessions knows who has signed in.
	Sessions *login.Sessions
	// Factors keeps people's second factors. Where there is a [Options.Mailer], they are told
	// of each change by mail.
	Factors *factor.Factors
	// SSO knows the identity providers of tenants.
	SSO *sso.Connections
	// Limiter takes what callers want of their rate limits, the App's own and a host's.
	Limiter *guard.Limiter
	// Limits are the App's rate limits, with their defaults.
	Limits guard.Limits
	// SecurityLog tells what concerns the security of tenants. A deleted tenant's log goes
	// with it, which the log of the owner's tenant tells.
	SecurityLog *guard.Log
	// KeyRing derives the keys of the service.
	KeyRing *KeyRing
	// Idempotency makes requests that are sent twice take effect once.
	Idempotency *Idempotency

	stores    Stores
	opts      Options
	publicURL *url.URL
	phase     atomic.Int32
	drains    chan struct{} // closed with the phase
	once      sync.Once
}

// The phases of an App's life.
const (
	fresh int32 = iota
	running
	draining
)

// New returns a service on stores. It starts nothing. It returns an ErrInvalid
// for a secret that is missing or too short, an environment that is none, limits that
// make no sense, and a public URL that is none or is missing where mail is sent.
func New(stores Stores, opts *Options) (*App, error) {
	a := &App{drains: make(chan struct{})}
	if opts != nil {
		a.opts = *opts
	}
	if a.opts.Mailer != nil {
		stores = a.telling(stores)
	}
	a.stores = stores
	if a.opts.Logger == nil {
		a.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if e := a.opts.Environment; e != "" && e != identity.Live && e != identity.Test {
		return nil, fmt.Errorf("levqor: new: %w", fault.Invalid("/environment", "unknown_value", "must be live or test"))
	}
	a.opts.Worker = a.workerOptions()
	ring, err := NewKeyRing(append([][]byte{a.opts.Secret}, a.opts.OldSecrets...)...)
	if err != nil {
		return nil, fmt.Errorf("levqor: new: %w", err)
	}
	if a.Limits, err = a.opts.Limits.WithDefaults(); err != nil {
		return nil, fmt.Errorf("levqor: new: %w", fault.Under("/limits", err))
	}
	a.KeyRing = ring
	a.Registry = jobs.NewRegistry(&jobs.RegistryOptions{
		Validator: a.opts.Validator, Sealer: ring.Sealer(), Intake: a.opts.Intake, Execution: a.opts.Execution,
		Signals: a.opts.Signals, Logger: a.opts.Logger,
	})
	a.Jobs = jobs.New(stores.Jobs, a.Registry, &jobs.Options{Now: a.opts.Now})
	a.Queues = jobs.NewQueues(stores.Limits).ForRegistry(a.Registry)
	a.Schedules = jobs.NewSchedules(stores.Schedules, a.Jobs, &jobs.SchedulesOptions{Parse: a.opts.Timetables, Worker: a.opts.Worker})
	a.Keys = identity.NewKeys(stores.Keys, ring, &identity.KeysOptions{Environment: a.opts.Environment, Scopes: a.opts.Scopes, Now: a.opts.Now})
	a.Limiter = guard.NewLimiter(stores.Rates, ring, &guard.LimiterOptions{Now: a.opts.Now})
	a.Factors = factor.New(stores.Factors, ring, ring.Sealer(), a.factorOptions())
	a.SecurityLog = guard.NewLog(stores.SecurityLog, ring, &guard.LogOptions{
		Retention: a.opts.SecurityLogRetention, Logger: a.opts.Logger, Now: a.opts.Now,
	})
	a.SSO = sso.New(stores.SSO, ring.Sealer(), &sso.Options{TXT: a.opts.TXT, Now: a.opts.Now})
	a.Directory = identity.NewDirectory(stores.Directory, &identity.DirectoryOptions{
		UserErasers: append([]identity.UserEraser{a.Factors, a.SSO}, a.opts.UserErasers...),
		TenantErasers: slices.Concat(
			[]identity.TenantEraser{a.Keys, a.SSO, workEraser{a.Jobs, a.Schedules}, answerEraser{stores.Idempotency}},
			a.opts.TenantErasers, []identity.TenantEraser{logEraser{a.SecurityLog}},
		),
		Now: a.opts.Now,
	})
	a.Addresses = identity.NewAddresses(a.Directory, ring)
	a.Invitations = identity.NewInvitations(stores.Invitations, a.Directory, ring, &identity.InvitationsOptions{Now: a.opts.Now})
	a.Idempotency = &Idempotency{stores: stores, now: a.now}
	if err := errors.Join(a.setUpLogins(), a.handleReseal()); err != nil {
		return nil, fmt.Errorf("levqor: new: %w", err)
	}
	return a, nil
}

// setUpLogins makes what people sign in with.
func (a *App) setUpLogins() (err error) {
	sessions := a.opts.Sessions
	sessions.Now = a.opts.Now
	a.Links = login.NewLinks(a.stores.Links, a.KeyRing, &login.LinksOptions{Now: a.opts.Now})
	a.Sessions = login.NewSessions(a.stores.Sessions, &sessions)
	at := a.opts.PublicURL
	if a.opts.Mailer == nil {
		at = cmp.Or(at, "http://localhost:8080")
	}
	if a.publicURL, err = parsePublicURL(at); err != nil || a.opts.Mailer == nil {
		return err
	}
	return errors.Join(a.handleLoginMail(), a.handleInvitationMail(), a.handleEmailChangeMails(), a.handleUndoneMail(), a.handleFactorMail())
}

// InTx runs fn with stores bound to one transaction; see [Stores.InTx].
func (a *App) InTx(ctx context.Context, fn func(ctx context.Context, tx Stores) error) error {
	return a.stores.InTx(ctx, fn)
}

// Run works off jobs, keeps the stores tidy and finishes interrupted deletions until ctx
// ends, then drains and returns: nil, or an error if what was done could not be recorded. An
// App runs once; Run returns an ErrConflict if it did before.
func (a *App) Run(ctx context.Context) error {
	if !a.phase.CompareAndSwap(fresh, running) {
		return fmt.Errorf("levqor: run: the app runs already or has run: %w", ErrConflict)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	context.AfterFunc(ctx, a.drain)
	var tidied sync.WaitGroup
	tidied.Go(func() { a.tidy(ctx) })
	tidied.Go(func() { a.recordUses(ctx) })
	logging, stopLog := context.WithCancel(context.WithoutCancel(ctx)) // what happens during the drain is recorded too
	defer stopLog()
	tidied.Go(func() { a.SecurityLog.Run(logging) })
	err := a.work(ctx)
	stop() // also if the work ended by itself
	stopLog()
	tidied.Wait()
	a.drain() // the one above may still be on its way
	return err
}

// drain begins the last phase.
func (a *App) drain() {
	a.phase.Store(draining)
	a.once.Do(func() { close(a.drains) })
}

// Draining returns a channel that is closed when Run begins to drain: what only waits
// for something to happen, such as a stream of events, should end then.
func (a *App) Draining() <-chan struct{} { return a.drains }

// Ready returns nil if the service can do its work, or an ErrUnavailable: the
// database does not answer or lacks a migration, or the service is draining.
func (a *App) Ready(ctx context.Context) error {
	if a.phase.Load() == draining {
		return fmt.Errorf("levqor: draining: %w", ErrUnavailable)
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	if err := a.stores.Check(ctx); err != nil {
		return fault.Opaque(ErrUnavailable, errors.New(fault.Cause(err))) // whatever it is, the answer is no
	}
	return nil
}

// JobsHealth tells an operator whether jobs are worked off; see [jobs.CheckHealth].
func (a *App) JobsHealth(ctx context.Context) (jobs.Health, error) {
	return jobs.CheckHealth(ctx, a.stores.Health)
}

// readyTimeout bounds the look at the database, which a probe waits for.
const readyTimeout = 2 * time.Second

func (a *App) work(ctx context.Context) error {
	if a.opts.NoWorker {
		return a.Registry.SendSignals(ctx)
	}
	worker, err := jobs.NewWorker(a.stores.Jobs, a.Registry, a.opts.Worker)
	if err != nil {
		return fmt.Errorf("levqor: run: %w", err)
	}
	firing, stop := context.WithCancel(ctx)
	fired := make(chan error, 1)
	go func() { fired <- a.Schedules.Run(firing) }()
	err = worker.Run(ctx)
	stop() // also if the worker ended by itself
	return errors.Join(err, <-fired)
}

// workerOptions returns those of the App's worker, with what it takes from the App.
func (a *App) workerOptions() *jobs.WorkerOptions {
	var opts jobs.WorkerOptions
	if a.opts.Worker != nil {
		opts = *a.opts.Worker
	}
	if opts.Logger == nil {
		opts.Logger = a.opts.Logger
	}
	if opts.Now == nil {
		opts.Now = a.opts.Now
	}
	return &opts
}

func (a *App) now() time.Time {
	if a.opts.Now == nil {
		return time.Time{}
	}
	return a.opts.Now()
}

// Now returns the instant by [Options.Now], or by the clock of this process without one: for
// what a page or a cookie dates that no store does.
func (a *App) Now() time.Time {
	if a.opts.Now == nil {
		return time.Now() //nolint:forbidigo // there is no other clock
	}
	return a.opts.Now()
}

// logEraser removes the security log of a deleted tenant and tells that in the owner's.
type logEraser struct{ log *guard.Log }

// EraseTenant implements [identity.TenantEraser].
func (e logEraser) EraseTenant(ctx context.Context, tenant identity.Tenant) error {
	if err := e.log.Erase(ctx, tenant.ID.String()); err != nil {
		return err
	}
	return e.log.Record(ctx, guard.Event{
		Tenant: identity.OwnerTenant, Action: guard.ActionTenantDeleted, Outcome: guard.OutcomeSuccess, Target: tenant.ID.String(),
		Detail: map[string]string{"step": "log_erased"}, // who wanted it was recorded when it began
	})
}
