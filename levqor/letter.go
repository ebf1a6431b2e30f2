package levqor

import (
	"errors"
	"fmt"
	"html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// letter is a mail in both forms. Nothing in it was written by whoever asked for it.
type letter struct {
	subject string // before the name of the site
	text    *texttemplate.Template
	html    *template.Template
}

type letterData struct {
	Site, Link, Code, Until, News, At string
	Minutes                           int
}

// written returns an instant as mails write it.
func written(at time.Time) string { return at.UTC().Format("2 January 2006, 15:04") + " UTC" }

// newLetter parses a letter, whose paragraphs stand between empty lines in both forms.
func newLetter(subject, text, html string) letter {
	return letter{
		subject, texttemplate.Must(texttemplate.New("text").Parse(text)),
		template.Must(template.New("html").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"></head><body>
` + html + `
</body></html>
`)),
	}
}

// to writes the mail. It returns an error if its headers would not be lines.
func (l letter) to(to identity.Email, data letterData) (Mail, error) {
	mail := Mail{To: to, Subject: l.subject + data.Site}
	if strings.ContainsFunc(mail.Subject+to.String(), unicode.IsControl) {
		return Mail{}, fmt.Errorf("levqor: mail: %w", fault.Invalid("/to", "invalid_character", "must be one line"))
	}
	var text, html strings.Builder
	if err := errors.Join(l.text.Execute(&text, data), l.html.Execute(&html, data)); err != nil {
		return Mail{}, fmt.Errorf("levqor: mail: %w", err)
	}
	mail.Text, mail.HTML = text.String(), html.String()
	return mail, nil
}
