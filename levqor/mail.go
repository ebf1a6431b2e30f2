package levqor

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/levqor/sdk/levqor/identity"
)

// Mailer sends mail.
type Mailer interface {
	// SendMail sends a mail or hands it on. After an ErrInvalid nobody asks again; after any
	// other error it is asked again later, a bounded number of times, with the same ID.
	SendMail(ctx context.Context, mail Mail) error
}

// Mail is a mail to one person. To and Subject are single lines.
type Mail struct {
	// ID is the same each time that a mail is sent again, of letters, digits and _.
	ID string
	// To is where it goes.
	To identity.Email
	// Subject says what it is about.
	Subject string
	// Text and HTML say the same.
	Text, HTML string
}

// WriterMailer writes mails to a writer in the place of sending them, for development: whoever
// reads what it writes can sign in as anybody. See [NewWriterMailer].
type WriterMailer struct {
	mu sync.Mutex
	w  io.Writer
}

// NewWriterMailer returns a mailer that writes the texts of mails to w, such as os.Stderr.
func NewWriterMailer(w io.Writer) *WriterMailer { return &WriterMailer{w: w} }

var _ Mailer = (*WriterMailer)(nil)

// SendMail implements [Mailer].
func (m *WriterMailer) SendMail(_ context.Context, mail Mail) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := fmt.Fprintf(m.w, "To: %s\nSubject: %s\n\n%s\n", mail.To, mail.Subject, strings.TrimSpace(mail.Text))
	return err
}
