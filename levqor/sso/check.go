package sso

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// The lengths of what a provider gives, in bytes.
const (
	maxIssuer   = 500
	maxClientID = 500
	maxSecret   = 1000
	maxSubject  = 255
	maxName     = 200
)

// check returns the domains of a new connection, each with a token.
func (n NewConnection) check() ([]Domain, error) {
	domains, err := checkDomains(n.Domains)
	err = errors.Join(checkIssuer(n.Issuer), checkText("/client_id", n.ClientID, maxClientID), checkText("/client_secret", n.ClientSecret, maxSecret), err, checkRole(n.Role))
	return domains, err
}

// check returns the domains of a changed connection, each with a token in case it is new.
func (c ConnectionChange) check() ([]Domain, error) {
	var errs []error
	if c.ClientID != nil {
		errs = append(errs, checkText("/client_id", *c.ClientID, maxClientID))
	}
	if c.ClientSecret != nil {
		errs = append(errs, checkText("/client_secret", *c.ClientSecret, maxSecret))
	}
	if c.Role != nil {
		errs = append(errs, checkRole(*c.Role))
	}
	var domains []Domain
	if c.Domains != nil {
		var err error
		domains, err = checkDomains(*c.Domains)
		errs = append(errs, err)
	}
	return domains, errors.Join(errs...)
}

// checkIssuer refuses what discovery could not begin with. Where a URL leads is decided
// when somebody connects.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || len(issuer) > maxIssuer || !plain(issuer) || u.Host == "" || u.User != nil || strings.ContainsAny(issuer, "?#") {
		return fault.Invalid("/issuer", "invalid_format", "must be an https URL without user, query and fragment, at most 500 bytes")
	}
	here := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"
	if u.Scheme != "https" && (u.Scheme != "http" || !here) {
		return fault.Invalid("/issuer", "invalid_format", "must be an https URL")
	}
	if shared(issuer) {
		return fault.Invalid("/issuer", "invalid_format", "must be that of one Microsoft Entra tenant, with the tenant's ID")
	}
	return nil
}

// checkTrust refuses to take a provider's word for addresses of which it says nothing where
// it has people of many organisations, each of which gives its own whatever address it likes.
// A connection from before issuers were checked may have such a one.
func checkTrust(issuer string) error {
	if shared(issuer) {
		return fault.Invalid("/trust_email", "unsupported", "needs an issuer that is one Microsoft Entra tenant's, with the tenant's ID")
	}
	return nil
}

// shared reports whether an issuer is one of Microsoft's that is not of one tenant: whoever
// administers any tenant there can set the e-mail claim of its people to the address of
// anybody ("nOAuth"), and accounts of private persons have no organisation at all. Tenants are
// named by their IDs in issuers; everything else, such as "common", is for all of them.
func shared(issuer string) bool {
	u, err := url.Parse(issuer)
	if err != nil || !slices.ContainsFunc(entraHosts, func(host string) bool { return within(u.Hostname(), host) }) {
		return false
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return !entraTenant.MatchString(tenant) || strings.EqualFold(tenant, entraPersonal)
}

// within reports whether a host is a domain or below it.
func within(host, domain string) bool {
	host = strings.ToLower(strings.TrimRight(host, "."))
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// entraHosts have the tenants of Microsoft Entra ID, of all clouds and both versions of its
// tokens.
var entraHosts = []string{"microsoftonline.com", "microsoftonline.us", "microsoftonline.cn", "chinacloudapi.cn", "windows.net"}

var entraTenant = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)

// entraPersonal is the tenant of all personal accounts, which the metadata of "consumers" names.
const entraPersonal = "9188040d-6c67-4c5b-b112-36a304b66dad"

func checkText(field, text string, most int) error {
	if text == "" || len(text) > most || !plain(text) {
		return fault.Invalid(field, "out_of_range", fmt.Sprintf("must be a line of 1 to %d bytes", most))
	}
	return nil
}

func checkRole(role identity.Role) error {
	if role != identity.RoleViewer && role != identity.RoleMember {
		return fault.Invalid("/role", "unknown_role", "must be viewer or member")
	}
	return nil
}

// checkDomains returns domains in their canonical form and order, each once.
func checkDomains(names []string) ([]Domain, error) {
	if len(names) > MaxDomains {
		return nil, fault.Invalid("/domains", "too_long", fmt.Sprintf("must have at most %d elements", MaxDomains))
	}
	var errs []error
	var canonical []string
	for i, name := range names {
		domain, err := identity.CanonicalDomain(name)
		if err != nil {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/domains/%d", i), "invalid_format", "must be a public domain name, as in e-mail addresses"))
			continue
		}
		if len(domain) > maxDomain {
			errs = append(errs, fault.Invalid(fmt.Sprintf("/domains/%d", i), "too_long", fmt.Sprintf("must have at most %d bytes, so that its record has a name", maxDomain)))
			continue
		}
		canonical = append(canonical, domain)
	}
	slices.Sort(canonical)
	var domains []Domain
	for _, name := range slices.Compact(canonical) {
		domains = append(domains, newDomain(name))
	}
	return domains, errors.Join(errs...)
}

// plain reports whether text can be stored and shown in a line.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}
