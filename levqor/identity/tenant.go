package identity

import (
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// TenantID identifies a tenant: a positive integer that grows with time. Outside the
// process, and wherever a room keeps a tenant as a text, it is written as "ten_" and
// 11 base62 digits, or "default" for [OwnerTenantID].
type TenantID int64

// OwnerTenantID is the [OwnerTenant], which every store has from the beginning.
const OwnerTenantID TenantID = 1

const tenantPrefix = "ten_"

// String returns the form used outside the process.
func (id TenantID) String() string {
	if id == OwnerTenantID {
		return OwnerTenant
	}
	return timeid.Format(tenantPrefix, int64(id))
}

// ParseTenantID reads the form that String writes. Anything else is an ErrNotFound,
// since no tenant of a directory has such an ID.
func ParseTenantID(s string) (TenantID, error) {
	if s == OwnerTenant {
		return OwnerTenantID, nil
	}
	id, ok := timeid.Parse(tenantPrefix, s)
	if !ok || TenantID(id) == OwnerTenantID {
		return 0, fmt.Errorf("identity: tenant ID: %w", ErrNotFound)
	}
	return TenantID(id), nil
}

// Tenant is an organisation: what its members do belongs to it.
type Tenant struct {
	// ID identifies the tenant.
	ID TenantID
	// Name is what people call it, 1 to 200 bytes.
	Name string
	// CreatedAt is when the tenant was stored.
	CreatedAt time.Time
	// DeletedAt is when its deletion began; zero if it did not. Its members and keys
	// have ended then, and it goes when all that belonged to it has been erased.
	DeletedAt time.Time
}
