package factor

import (
	"context"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// Store keeps the factors of users; all rows are subject-owned. What holds for every
// method: it is safe for concurrent use; now is the instant that the call works with, and
// the zero time means the store's own clock; what it does is done as a whole or not at
// all; errors wrap the kinds of this package and print nothing of the store's inner
// workings. What belongs to another user is not found. Nothing is added for a user whose
// deletion has begun: such calls return ErrNotFound, as for one who never was.
type Store interface {
	TOTPStore
	RecoveryStore
	PasskeyStore
	CeremonyStore
	HeldStore
	SealedStore
}

// TOTPStore keeps the secrets that users share with their authenticator apps.
type TOTPStore interface {
	// PutPendingTOTP stores a secret that waits for its first code until ttl is over, in
	// the place of one that waits. The secret in use stays in use.
	PutPendingTOTP(ctx context.Context, user identity.UserID, sealed string, ttl time.Duration, now time.Time) error

	// FindTOTP returns a user's secrets and the instant that now stands for, or
	// ErrNotFound if the user has neither one in use nor one that waits.
	FindTOTP(ctx context.Context, user identity.UserID, now time.Time) (TOTP, time.Time, error)

	// ConfirmTOTP brings the secret that waits into use, in the place of the one that
	// was, with step as the last one used. It returns ErrNotFound if sealed is not what
	// waits: another call has confirmed or replaced it, or its time is over.
	ConfirmTOTP(ctx context.Context, user identity.UserID, sealed string, step int64, now time.Time) error

	// UseTOTPStep records that the code of a step was used. It returns ErrReplayed if
	// that of the same step or a later one was, and if sealed is not the secret in use.
	// Of any number of callers at once with one step, one is told nil.
	UseTOTPStep(ctx context.Context, user identity.UserID, sealed string, step int64) error
}

// TOTP is what a store keeps of a user's authenticator app.
type TOTP struct {
	// Secret is the sealed secret in use; empty if there is none.
	Secret string
	// LastStep is the last step whose code was used.
	LastStep int64
	// ConfirmedAt is when the secret came into use; zero if there is none.
	ConfirmedAt time.Time
	// Pending is the sealed secret that waits for its first code; empty if there is none
	// or its time is over.
	Pending string
}

// RecoveryStore keeps the hashes of recovery codes that have not been used.
type RecoveryStore interface {
	// ReplaceRecoveryCodes stores hashes in the place of all that a user has. Of calls at
	// once the codes of one remain.
	ReplaceRecoveryCodes(ctx context.Context, user identity.UserID, hashes [][]byte, now time.Time) error

	// RecoveryCodes returns the hashes of a user's codes, in any order.
	RecoveryCodes(ctx context.Context, user identity.UserID) ([][]byte, error)

	// UseRecoveryCode removes a code and returns how many the user has left. It returns
	// ErrNotFound if the user has no such code: of any number of callers at once with one
	// code, one is told nil.
	UseRecoveryCode(ctx context.Context, user identity.UserID, hash []byte) (left int, err error)
}

// PasskeyStore keeps passkeys, no two with the same credential ID.
type PasskeyStore interface {
	// AddPasskey stores a passkey. It returns ErrPasskeyTaken if one with that ID is
	// stored, whoever's it is, and ErrTooManyPasskeys if the user has MaxPasskeys, also
	// if others are added at the same time.
	AddPasskey(ctx context.Context, passkey Passkey, now time.Time) (Passkey, error)

	// FindPasskey returns the passkey with a credential ID, whoever's it is, or
	// ErrNotFound.
	FindPasskey(ctx context.Context, id []byte) (Passkey, error)

	// Passkeys returns a user's passkeys, the oldest first.
	Passkeys(ctx context.Context, user identity.UserID) ([]Passkey, error)

	// RenamePasskey sets the name of a user's passkey, or returns ErrNotFound.
	RenamePasskey(ctx context.Context, user identity.UserID, id []byte, name string) (Passkey, error)

	// UsePasskey records that a user's passkey was used, with the sign count and whether
	// it is backed up since then. It returns ErrNotFound if the user has no such passkey,
	// and ErrCloned, and changes nothing, if the sign count is not above the one that is
	// stored: except that both are 0, which is how authenticators say that they do not
	// count. Of any number of callers at once with one count above 0, one is told nil.
	UsePasskey(ctx context.Context, user identity.UserID, id []byte, use PasskeyUse, now time.Time) (Passkey, error)
}

// CeremonyStore keeps the ceremonies of passkeys that have begun and not ended.
type CeremonyStore interface {
	// AddCeremony stores a ceremony, which can be taken until ttl is over. One of no
	// user, 0, is of whoever will answer.
	AddCeremony(ctx context.Context, ceremony Ceremony, ttl time.Duration, now time.Time) error

	// TakeCeremony removes a ceremony and returns it, or ErrNotFound if it is gone or its
	// time is over. Of any number of callers at once one gets it.
	TakeCeremony(ctx context.Context, hash []byte, now time.Time) (Ceremony, error)

	// DeleteExpiredCeremonies removes up to limit ceremonies whose time is over, and
	// returns how many.
	DeleteExpiredCeremonies(ctx context.Context, limit int, now time.Time) (int, error)
}

// HeldStore tells what factors users have, and removes them.
type HeldStore interface {
	// Held returns what factors a user has. A secret that waits for its first code is none.
	Held(ctx context.Context, user identity.UserID) (Held, error)

	// RemoveTOTP removes a user's secret in use and the one that waits, and the recovery
	// codes if no factor is left. It returns ErrNotFound if none is in use, and
	// ErrFactorRequired, and changes nothing, if fewer than least factors would be left:
	// also if others are removed at the same time.
	RemoveTOTP(ctx context.Context, user identity.UserID, least int) error

	// RemovePasskey does the same to a user's passkey.
	RemovePasskey(ctx context.Context, user identity.UserID, id []byte, least int) error

	// RemoveSince removes a user's factors and recovery codes that have come into use or were
	// stored at an instant or later, with what waits, ceremonies, and all recovery codes if
	// no factor is left. It returns what it has removed of factors and of such codes.
	RemoveSince(ctx context.Context, user identity.UserID, since time.Time) (Held, error)

	// RemoveAll removes everything of a user, with what waits and ceremonies, and returns
	// what factors they had. It does the same for users whose deletion has begun.
	RemoveAll(ctx context.Context, user identity.UserID) (Held, error)
}

// SealedStore shows the sealed secrets of apps and replaces them, for all users.
type SealedStore interface {
	// ListSealedTOTP returns the sealed secrets of up to limit users whose IDs come after
	// a given one, in the order of their IDs: those in use and those that wait, also if
	// their time is over.
	ListSealedTOTP(ctx context.Context, after identity.UserID, limit int) ([]SealedTOTP, error)

	// ReplaceSealedTOTP stores sealed where a user still has the secret that was seen, in
	// use or waiting, whichever it is by now. Nothing else changes, and nothing at all if
	// the user does not have it any more.
	ReplaceSealedTOTP(ctx context.Context, seen SealedTOTP, sealed string) error
}

// SealedTOTP is the sealed secret of a user's app.
type SealedTOTP struct {
	// User is whose it is.
	User identity.UserID
	// Sealed is the secret as stored.
	Sealed string
}
