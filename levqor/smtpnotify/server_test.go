package smtpnotify_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// drop is an answer: the connection ends without one.
const drop = "drop"

// mailServer is a mail server that answers as it is told.
type mailServer struct {
	address string
	roots   *x509.CertPool
	tls     *tls.Config
	secure  bool              // TLS from the first byte
	plain   bool              // it knows no STARTTLS
	methods string            // of signing in
	host    string            // what it listens on
	answers map[string]string // by the first word of a command; "." is the end of a mail

	mu     sync.Mutex
	heard  []string // commands, without what follows the first word of AUTH
	logins []string // user and password
	mails  []string
}

// serve lets a server listen until the test ends.
func serve(t *testing.T, change func(s *mailServer)) *mailServer {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate, of 127.0.0.1 and example.com
	t.Cleanup(certified.Close)
	s := &mailServer{tls: &tls.Config{Certificates: certified.TLS.Certificates}, roots: x509.NewCertPool(), methods: "PLAIN", host: "127.0.0.1", answers: map[string]string{}}
	s.roots.AddCert(certified.Certificate())
	if change != nil {
		change(s)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(s.host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.converse(conn) })
		}
	})
	t.Cleanup(func() { _ = listener.Close(); all.Wait() })
	return s
}

// converse is one connection.
func (s *mailServer) converse(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	if s.secure {
		conn = tls.Server(conn, s.tls)
	}
	lines, secured := bufio.NewReader(conn), s.secure
	say := func(text string) bool {
		if text == drop {
			return false
		}
		_, err := fmt.Fprint(conn, text, "\r\n")
		return err == nil
	}
	for more := say("220 mail.example.com"); more; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		s.hear(word, rest)
		more = say(s.answer(word, secured))
		switch {
		case !more:
		case word == "QUIT":
			return
		case word == "STARTTLS":
			conn = tls.Server(conn, s.tls)
			lines, secured = bufio.NewReader(conn), true
		case word == "DATA" && s.answers["DATA"] == "":
			if more = s.take(lines); more {
				more = say(s.answer(".", secured))
			}
		}
	}
}

func (s *mailServer) hear(word, rest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if word == "AUTH" {
		_, encoded, _ := strings.Cut(rest, " ")
		login, _ := base64.StdEncoding.DecodeString(encoded)
		s.logins = append(s.logins, strings.ReplaceAll(string(login), "\x00", " "))
		rest = ""
	}
	s.heard = append(s.heard, strings.TrimSpace(word+" "+rest))
}

// take reads a mail up to its end.
func (s *mailServer) take(lines *bufio.Reader) bool {
	var mail strings.Builder
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return false
		}
		if line == ".\r\n" {
			break
		}
		mail.WriteString(strings.TrimPrefix(line, "."))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, mail.String())
	return true
}

func (s *mailServer) answer(word string, secured bool) string {
	if told, ok := s.answers[word]; ok {
		return told
	}
	switch word {
	case "EHLO":
		offers := "250-mail.example.com\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250-SMTPUTF8\r\n"
		if !secured && !s.plain {
			offers += "250-STARTTLS\r\n"
		}
		return offers + "250 AUTH " + s.methods
	case "STARTTLS":
		return "220 2.0.0 go on"
	case "AUTH":
		return "235 2.7.0 welcome"
	case "DATA":
		return "354 go on"
	case "QUIT":
		return "221 2.0.0 bye"
	default:
		return "250 2.0.0 fine"
	}
}

func (s *mailServer) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.mails...)
}
