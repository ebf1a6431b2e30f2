package guard

import (
	"encoding/hex"
	"time"
)

// Ring makes and checks keyed hashes. A key ring of package levqor is one.
type Ring interface {
	Hasher
	// Verify reports, in constant time, whether mac is such a hash under any secret that
	// the ring still honours.
	Verify(purpose string, mac []byte, parts ...[]byte) bool
	// Names returns what its secrets are called, the one that MAC uses first: 8 digits in
	// base 16 each, which tell nothing of them.
	Names() []string
}

// Pseudonym returns what stands in a log for something personal, such as an address, of a
// kind, such as "ip" or "email": "pii:", the month and the name of a secret, and 48 bits
// of a keyed hash. The same value is the same text within a month of UTC and under one
// secret, and nobody can tell that it is afterwards, nor what it stands for without the
// secret. Different spellings are different values: take the canonical one.
func (l *Log) Pseudonym(kind, value string) string {
	return pseudonym(l.ring, l.clock(), kind, value)
}

// pseudonymSize is how much of the hash there is: enough to tell the people of a month
// apart, too little to look anybody up in a list of everybody without finding many.
const pseudonymSize = 6

func pseudonym(ring Ring, now time.Time, kind, value string) string {
	month := now.UTC().Format("200601")
	sum := ring.MAC("pseudonym/"+month, []byte(kind), []byte(value))
	return pseudonymPrefix + month + "-" + ring.Names()[0] + ":" + hex.EncodeToString(sum[:pseudonymSize])
}
