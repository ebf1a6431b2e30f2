package identity

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// MemDirectory is a [DirectoryStore] in memory, for tests. See [NewMemDirectory].
type MemDirectory struct {
	keys      *MemKeyStore
	onLockOut []func(UserID)
	onForget  []func(UserID)

	mu      sync.Mutex
	users   map[UserID]User
	tenants map[TenantID]memTenant
	members map[memPlace]Member
	removed map[memPlace]bool // and not added again

	invitations map[InvitationID]Invitation
	undos       map[UndoID]Undo
}

var _ DirectoryStore = (*MemDirectory)(nil)

// NewMemDirectory returns a store with the owner's tenant alone. The keys are those that
// end with their tenants.
func NewMemDirectory(keys *MemKeyStore) *MemDirectory {
	owner := Tenant{ID: OwnerTenantID, Name: OwnerTenant, CreatedAt: timeid.Instant(time.Time{})}
	return &MemDirectory{
		keys: keys, users: map[UserID]User{}, tenants: map[TenantID]memTenant{OwnerTenantID: {Tenant: owner}},
		members: map[memPlace]Member{}, removed: map[memPlace]bool{}, invitations: map[InvitationID]Invitation{}, undos: map[UndoID]Undo{},
	}
}

// Snapshot returns what puts the store back into its present state: how a
// transaction in memory is rolled back.
func (s *MemDirectory) Snapshot() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	users, tenants, members, removed := maps.Clone(s.users), maps.Clone(s.tenants), maps.Clone(s.members), maps.Clone(s.removed)
	invitations, undos := maps.Clone(s.invitations), maps.Clone(s.undos)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.users, s.tenants, s.members, s.removed = users, tenants, members, removed
		s.invitations, s.undos = invitations, undos
	}
}

// page returns what pick finds among the first entries of a map in the order of its
// keys, up to limit.
func page[K cmp.Ordered, V, T any](all map[K]V, limit int, pick func(V) (T, bool)) []T {
	var found []T
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if v, ok := pick(all[id]); ok && len(found) < limit {
			found = append(found, v)
		}
	}
	return found
}
