package main

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"
	"sync"

	"github.com/levqor/sdk/levqor/identity"
)

// user is one of this host's, who belongs to one company and is trusted with some things.
type user struct {
	id, company  string
	mayWrite     bool
	salt         []byte
	passwordHash []byte
}

// users is the host's table of users with their sessions and tokens. A real one is in the
// host's own database.
type users struct {
	byName map[string]user // never changes

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]user // by the hash of the cookie or the token
}

func newUsers() *users {
	u := &users{byName: map[string]user{}, sessions: map[[sha256.Size]byte]user{}}
	u.add("ada", "correct horse", user{id: "1", company: "engines", mayWrite: true})
	u.add("bob", "battery staple", user{id: "2", company: "engines"})
	u.add("eve", "paper clip", user{id: "3", company: "looms", mayWrite: true})
	return u
}

func (u *users) add(name, password string, person user) {
	person.salt = []byte(rand.Text())
	person.passwordHash = hashOf(password, person.salt)
	u.byName[name] = person
}

func hashOf(password string, salt []byte) []byte {
	hash, err := pbkdf2.Key(sha256.New, password, salt, 600_000, sha256.Size)
	if err != nil {
		panic(err) // the parameters are sound
	}
	return hash
}

const cookieName = "__Host-session"

// login takes a form with name and password and answers with a session.
func (u *users) login(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 4096)
	person := u.byName[r.PostFormValue("name")]
	// An unknown name costs as much as a wrong password.
	hash := hashOf(r.PostFormValue("password"), person.salt)
	if subtle.ConstantTimeCompare(hash, person.passwordHash) != 1 {
		http.Error(w, "The name or the password is wrong.", http.StatusUnauthorized)
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: u.newSession(person), Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	w.WriteHeader(http.StatusNoContent)
}

// newSession returns a text that stands for a user: in a cookie, or as a program's token.
func (u *users) newSession(person user) string {
	text := rand.Text()
	u.mu.Lock()
	defer u.mu.Unlock()
	u.sessions[sha256.Sum256([]byte(text))] = person
	return text
}

// byCookie implements [httpapi.AuthenticatorFunc] for browsers.
func (u *users) byCookie(r *http.Request) (identity.Principal, error) {
	cookie, err := r.Cookie(cookieName)
	if err != nil {
		return identity.Principal{}, identity.ErrUnauthenticated
	}
	return u.principal(cookie.Value)
}

// byToken implements [httpapi.AuthenticatorFunc] for programs.
func (u *users) byToken(r *http.Request) (identity.Principal, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return identity.Principal{}, identity.ErrUnauthenticated
	}
	return u.principal(token)
}

// principal says in Levqor's words who somebody is: the company is the tenant. Sessions of
// users who were deleted are gone from the map, so nothing else is to be asked.
func (u *users) principal(session string) (identity.Principal, error) {
	u.mu.Lock()
	person, ok := u.sessions[sha256.Sum256([]byte(session))]
	u.mu.Unlock()
	if !ok {
		return identity.Principal{}, identity.ErrUnauthenticated
	}
	scopes := []string{"jobs:read"}
	if person.mayWrite {
		scopes = append(scopes, "jobs:write")
	}
	return identity.Principal{Tenant: person.company, UserID: person.id, Scopes: scopes}, nil
}
