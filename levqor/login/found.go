package login

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/levqor/identity"
)

// Found is a session that a request came with.
type Found struct {
	// Session is the session.
	Session Session
	// User is who has signed in.
	User identity.User
	// NeedsSecondFactor tells that the user has no scopes before they have shown a second
	// factor: their role demands one for which no provider vouches, or they have one (see
	// [LevelHalf]).
	NeedsSecondFactor bool
	// Fresh tells that the user proved who they are so lately that they may do what needs
	// a fresh proof, such as making keys.
	Fresh bool

	member identity.Member
}

// Principal returns the user as the caller that the rest of the service knows, without any
// scope if they need a second factor. It returns false if they have no place in the
// session's tenant, or no longer.
func (f Found) Principal() (identity.Principal, bool) {
	if f.member.User == 0 {
		return identity.Principal{}, false
	}
	who := f.member.Principal()
	if f.NeedsSecondFactor {
		who.Scopes = nil
	}
	return who, true
}

// Authenticate returns the session that a token stands for. All that it returns is as the
// store has it at that instant, so a session that was ended, a user who was disabled and a
// role that was changed count at once. It returns ErrUnauthenticated for a token that is
// malformed, which never reaches the store, or unknown, and whose session has ended.
func (s *Sessions) Authenticate(ctx context.Context, token string) (Found, error) {
	if !isSecret(token) {
		return Found{}, errInvalidSession()
	}
	f, err := s.store.FindSession(ctx, hashToken(token), s.now())
	if err != nil {
		return Found{}, fmt.Errorf("login: authenticate: %w", unknown(err))
	}
	return Found{
		Session: f.Session, User: f.User, member: f.Member, Fresh: s.fresh(f.Session, f.At),
		NeedsSecondFactor: s.needsSecondFactor(f),
	}, nil
}

func (s *Sessions) needsSecondFactor(f FoundSession) bool {
	if f.Session.Level == LevelHalf {
		return true
	}
	return f.Member.User != 0 && !f.Session.HasSecondFactor() && s.opts.RequireSecondFactor(f.Member.Role)
}

// Role is what the user is in the session's tenant, "" if they have no place there, or no
// longer. It says nothing of scopes, which [Found.Principal] does.
func (f Found) Role() identity.Role { return f.member.Role }
