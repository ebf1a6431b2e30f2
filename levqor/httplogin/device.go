package httplogin

import (
	"net/http"
	"strings"

	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/login"
)

// The words by which browsers and systems are known in the header User-Agent. The first
// that it holds counts: most name others too, for the sake of old servers.
var (
	browsers = [][2]string{
		{"Edg", "Edge"},
		{"OPR/", "Opera"},
		{"SamsungBrowser/", "Samsung Internet"},
		{"Firefox/", "Firefox"},
		{"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"},
		{"Chrome/", "Chrome"},
		{"Safari/", "Safari"},
		{"curl/", "curl"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"},
		{"iPad", "iPad"},
		{"Android", "Android"},
		{"Windows", "Windows"},
		{"CrOS", "ChromeOS"},
		{"Mac OS X", "Mac"},
		{"Linux", "Linux"},
	}
)

// Device says what a request was sent with, in words that its sender will recognise. It
// holds nothing that the sender has written: words of a list alone.
func (s *Sessions) Device(r *http.Request) login.Device {
	agent := r.UserAgent()
	label := wordFor(browsers, agent, "a browser")
	if system := wordFor(systems, agent, ""); system != "" {
		label += " on " + system
	}
	return login.Device{Label: label, Address: httpguard.ClientAddr(r, s.opts.TrustedProxies)}
}

func wordFor(words [][2]string, agent, fallback string) string {
	for _, w := range words {
		if strings.Contains(agent, w[0]) {
			return w[1]
		}
	}
	return fallback
}
