package identity

import (
	"context"
	"errors"
	"time"
)

// UserEraser erases what a user leaves behind somewhere else. It is called before the
// user is forgotten, and again whenever a deletion is repeated, so it must not mind if
// its work is done already.
type UserEraser interface {
	// EraseUser erases what belongs to a user. After an error it is called again later.
	EraseUser(ctx context.Context, user User) error
}

// TenantEraser erases what belongs to a tenant, as [UserEraser] does for users. It is called
// when the deletion begins, and again once nobody can add to what it erases.
type TenantEraser interface {
	// EraseTenant erases what belongs to a tenant. After an error it is called again later.
	EraseTenant(ctx context.Context, tenant Tenant) error
}

// settling is how long after the beginning of a tenant's deletion things may still be stored
// for it: by its keys until other processes ask for them anew, and by handlers of its jobs
// until they have noticed that those are cancelled.
const settling = CacheTTL + 330*time.Second

// DeleteTenant deletes a tenant: its members end at once and its keys within [CacheTTL],
// and every [TenantEraser] is called. Until keys have ended everywhere, and handlers of
// its jobs, more may be stored for it: so the tenant is forgotten by a repetition that
// comes six minutes after the beginning or later, when all have done their work once more.
// If one fails its error is returned. A deletion is repeated by another call and by
// [Directory.FinishDeletions]. It returns ErrNotFound if there is no such tenant, and
// ErrOwnerTenant for the owner's.
func (d *Directory) DeleteTenant(ctx context.Context, id TenantID) error {
	tenant, err := d.store.DeleteTenant(ctx, id, d.now())
	if err != nil {
		return wrap("delete tenant", err)
	}
	return wrap("delete tenant", d.eraseTenant(ctx, tenant))
}

// DeleteUser deletes a user: they are no member of any tenant at once, the API keys and
// invitations that they have made end as with [Directory.RemoveMember], and tenants of
// which they were the only member are deleted with them. Then every [UserEraser] is
// called, and the user is forgotten when all have done their work. If one fails its
// error is returned, and the deletion can be repeated: by another call or by
// [Directory.FinishDeletions]. It returns ErrNotFound if there is no such user, and
// ErrLastOwner while they are the last owner of a tenant that has other members, or of
// the owner's tenant.
func (d *Directory) DeleteUser(ctx context.Context, id UserID) error {
	user, tenants, err := d.store.DeleteUser(ctx, id, d.now())
	if err != nil {
		return wrap("delete user", err)
	}
	return wrap("delete user", d.eraseUser(ctx, user, tenants))
}

func (d *Directory) eraseUser(ctx context.Context, user User, tenants []Tenant) error {
	for _, tenant := range tenants {
		if err := d.eraseTenant(ctx, tenant); err != nil {
			return err
		}
	}
	for _, eraser := range d.opts.UserErasers {
		if err := eraser.EraseUser(ctx, user); err != nil {
			return err
		}
	}
	return d.store.ForgetUser(ctx, user.ID)
}

// eraseTenant looks at the time before it erases: what was stored before is erased then.
func (d *Directory) eraseTenant(ctx context.Context, tenant Tenant) error {
	now, err := d.store.Instant(ctx, d.now())
	if err != nil {
		return err
	}
	for _, eraser := range d.opts.TenantErasers {
		if err := eraser.EraseTenant(ctx, tenant); err != nil {
			return err
		}
	}
	if now.Sub(tenant.DeletedAt) < settling {
		return nil
	}
	return d.store.ForgetTenant(ctx, tenant.ID)
}

// finishBatch is how many deletions are read at a time.
const finishBatch = 100

// FinishDeletions repeats all deletions that are not over, which an app does when it starts
// and every ten minutes, those that are under way elsewhere too. One that fails again does
// not hold up the others; it returns the errors of all that did.
func (d *Directory) FinishDeletions(ctx context.Context) error {
	return wrap("finish deletions", errors.Join(d.finishTenants(ctx), d.finishUsers(ctx)))
}

func (d *Directory) finishTenants(ctx context.Context) error {
	var errs []error
	for after := TenantID(0); ; {
		tenants, err := d.store.DeletedTenants(ctx, after, finishBatch)
		errs = append(errs, err)
		for _, tenant := range tenants {
			errs = append(errs, d.eraseTenant(ctx, tenant))
			after = tenant.ID
		}
		if len(tenants) < finishBatch {
			return errors.Join(errs...)
		}
	}
}

func (d *Directory) finishUsers(ctx context.Context) error {
	var errs []error
	for after := UserID(0); ; {
		users, err := d.store.DeletedUsers(ctx, after, finishBatch)
		errs = append(errs, err)
		for _, user := range users {
			after = user.ID
			user, tenants, err := d.store.DeleteUser(ctx, user.ID, d.now())
			if errors.Is(err, ErrNotFound) { // finished elsewhere meanwhile
				continue
			}
			if err == nil {
				err = d.eraseUser(ctx, user, tenants)
			}
			errs = append(errs, err)
		}
		if len(users) < finishBatch {
			return errors.Join(errs...)
		}
	}
}
