package identity

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/timeid"
)

// DirectoryOptions configure a [Directory]. The zero value of each field means its
// default.
type DirectoryOptions struct {
	// UserErasers erase what users leave behind, in this order. Default: none.
	UserErasers []UserEraser
	// TenantErasers erase what belongs to tenants, in this order. Default: none.
	TenantErasers []TenantEraser
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Directory knows people, tenants and who is a member of which. It is safe for
// concurrent use.
type Directory struct {
	store DirectoryStore
	opts  DirectoryOptions
	ids   *timeid.Source
	by    *Principal // who changes members; nil for the service itself
}

// NewDirectory returns a directory on a store. Options may be nil.
func NewDirectory(store DirectoryStore, opts *DirectoryOptions) *Directory {
	d := &Directory{store: store, ids: &timeid.Source{}}
	if opts != nil {
		d.opts = *opts
	}
	return d
}

// With returns the same directory on another store, such as one bound to the caller's
// transaction.
func (d *Directory) With(store DirectoryStore) *Directory {
	c := *d
	c.store = store
	return &c
}

// ForCaller returns the same directory as a caller may change the members of its tenant.
// It gives nobody more than it may itself, and changes and removes nobody who may more:
// that is an ErrScopeNotHeld. Use it with the store of a transaction, after
// [Directory.Hold], or a member may rise between the look and the change.
func (d *Directory) ForCaller(by Principal) *Directory {
	c := *d
	c.by = &by
	return &c
}

// EnsureUser returns the user with an address, in whatever spelling, and makes one with
// that name if there is none; created tells which. Mail goes to the address of the user
// that it returns and never to the one that was asked for: somebody else may have a
// mailbox of another spelling. It returns an ErrInvalid that names each wrong field,
// ErrDeletionPending while such a user is being deleted, and ErrAddressHeld while a user
// may have it back who has left it; see [Addresses].
func (d *Directory) EnsureUser(ctx context.Context, email Email, name string) (user User, created bool, err error) {
	errs := []error{checkLabel(name, 0)}
	if email == (Email{}) {
		errs = append(errs, invalidEmail("required", "must be an address"))
	}
	if err := errors.Join(errs...); err != nil {
		return User{}, false, fmt.Errorf("identity: ensure user: %w", err)
	}
	err = d.withID(func(id int64) error {
		user, created, err = d.store.EnsureUser(ctx, User{ID: UserID(id), Email: email, Name: name}, d.now())
		return err
	})
	return user, created, wrap("ensure user", err)
}

// FindUser returns the user with an ID, or ErrNotFound.
func (d *Directory) FindUser(ctx context.Context, id UserID) (User, error) {
	user, err := d.store.FindUser(ctx, id)
	return user, wrap("find user", err)
}

// FindUserByEmail returns the user with an address, in whatever spelling, or
// ErrNotFound.
func (d *Directory) FindUserByEmail(ctx context.Context, email Email) (User, error) {
	user, err := d.store.FindUserByEmail(ctx, email.Canonical())
	return user, wrap("find user", err)
}

// RenameUser sets a user's name. It returns an ErrInvalid about "/name", or ErrNotFound.
func (d *Directory) RenameUser(ctx context.Context, id UserID, name string) (User, error) {
	if err := checkLabel(name, 0); err != nil {
		return User{}, wrap("rename user", err)
	}
	user, err := d.store.RenameUser(ctx, id, name)
	return user, wrap("rename user", err)
}

// DisableUser locks a user out of every tenant at once, or returns ErrNotFound. The API keys
// and invitations that they have made end too, as with [Directory.RemoveMember]. The last
// owner of a tenant can be disabled: it is how an operator stops an account that was
// taken over.
func (d *Directory) DisableUser(ctx context.Context, id UserID) (User, error) {
	user, err := d.store.DisableUser(ctx, id, d.now())
	return user, wrap("disable user", err)
}

// EnableUser lets a user in again after [Directory.DisableUser]; their keys stay revoked.
func (d *Directory) EnableUser(ctx context.Context, id UserID) (User, error) {
	user, err := d.store.EnableUser(ctx, id)
	return user, wrap("enable user", err)
}

// CreateTenant makes a tenant whose only member is a user, its owner. It returns an
// ErrInvalid about "/name", or ErrNotFound if there is no such user.
func (d *Directory) CreateTenant(ctx context.Context, name string, owner UserID) (tenant Tenant, err error) {
	if err := checkLabel(name, 1); err != nil {
		return Tenant{}, wrap("create tenant", err)
	}
	err = d.withID(func(id int64) error {
		tenant, err = d.store.CreateTenant(ctx, Tenant{ID: TenantID(id), Name: name}, owner, d.now())
		return err
	})
	return tenant, wrap("create tenant", err)
}

// FindTenant returns the tenant with an ID, or ErrNotFound.
func (d *Directory) FindTenant(ctx context.Context, id TenantID) (Tenant, error) {
	tenant, err := d.store.FindTenant(ctx, id)
	return tenant, wrap("find tenant", err)
}

// RenameTenant sets a tenant's name. It returns an ErrInvalid about "/name", or
// ErrNotFound.
func (d *Directory) RenameTenant(ctx context.Context, id TenantID, name string) (Tenant, error) {
	if err := checkLabel(name, 1); err != nil {
		return Tenant{}, wrap("rename tenant", err)
	}
	tenant, err := d.store.RenameTenant(ctx, id, name)
	return tenant, wrap("rename tenant", err)
}

// TenantsOf returns up to limit tenants of which a user is a member, in the order of
// their IDs: the first ones for after = 0, else those behind that ID. It returns an
// ErrInvalid about "/limit" outside 1 to 1,000.
func (d *Directory) TenantsOf(ctx context.Context, user UserID, after TenantID, limit int) ([]Tenant, error) {
	if err := checkLimit(limit); err != nil {
		return nil, wrap("tenants of user", err)
	}
	tenants, err := d.store.TenantsOf(ctx, user, after, limit)
	return tenants, wrap("tenants of user", err)
}

// Tenants returns up to limit tenants in the order of their IDs: the first ones for
// after = 0, else those behind that ID. It returns an ErrInvalid about "/limit" outside 1
// to 1,000.
func (d *Directory) Tenants(ctx context.Context, after TenantID, limit int) ([]Tenant, error) {
	if err := checkLimit(limit); err != nil {
		return nil, wrap("tenants", err)
	}
	tenants, err := d.store.Tenants(ctx, after, limit)
	return tenants, wrap("tenants", err)
}

// Hold keeps others from changing a tenant and its members until the transaction ends
// that the directory's store is bound to. It returns ErrNotFound if there is no such
// tenant.
func (d *Directory) Hold(ctx context.Context, tenant TenantID) error {
	return wrap("hold tenant", d.store.HoldTenant(ctx, tenant))
}

// HoldUser keeps others from changing a user, what their second factors are and whether they
// are signed in until the transaction ends that the directory's store is bound to. It comes
// before [Directory.Hold]. It returns ErrNotFound if there is no such user.
func (d *Directory) HoldUser(ctx context.Context, user UserID) error {
	return wrap("hold user", d.store.HoldUser(ctx, user))
}

// withID calls store with IDs until one is not taken. What else is a conflict has a code.
func (d *Directory) withID(store func(id int64) error) error {
	var err error
	for range 5 {
		at := d.now()
		if at.IsZero() {
			at = time.Now() //nolint:forbidigo // decides nothing but where a row lies
		}
		err = store(d.ids.Next(at))
		if !errors.Is(err, ErrConflict) || len(fault.All(err)) > 0 {
			return err
		}
	}
	return err
}

func (d *Directory) now() time.Time {
	if d.opts.Now == nil {
		return time.Time{}
	}
	return d.opts.Now()
}

// maxName bounds a name, in bytes.
const maxName = 200

func checkLabel(name string, least int) error {
	if len(name) < least || len(name) > maxName {
		return fault.Invalid("/name", "out_of_range", fmt.Sprintf("must have %d to %d bytes", least, maxName))
	}
	if !plain(name) || name != strings.TrimSpace(name) {
		return fault.Invalid("/name", "invalid_format", "must be a line of text without spaces around it")
	}
	return nil
}

// maxLimit bounds a page.
const maxLimit = 1000

func checkLimit(limit int) error {
	if limit < 1 || limit > maxLimit {
		return fault.Invalid("/limit", "out_of_range", "must be 1 to 1000")
	}
	return nil
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("identity: %s: %w", op, err)
}
