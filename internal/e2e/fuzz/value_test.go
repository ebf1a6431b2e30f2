package fuzz_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"math"
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// source draws values that a schema allows.
type source struct {
	*rand.Rand
	args   *openapi3.Schema // of jobs
	marker string
	held   []string // the scopes that who sends the request can give to others
}

// known are values of fields whose schema cannot say what is allowed.
var known = map[string][]any{
	"kind":             {"note", "refuse", "linger"},
	"queue":            {"default", "default", "bulk"},
	"spec":             {"@daily", "30 9 * * MON-FRI", "*/5 * * * *", "every 10m", "every 36h", "at 2030-01-02T03:04:05Z"},
	"time_zone":        {"Europe/Berlin", "UTC", "America/New_York", "Asia/Kathmandu"},
	"email":            {"ada@example.com", "ADA@example.com", "eve@example.com", "member1@example.com", "jürgen@bücher.example"},
	"owner_email":      {"ada@example.com", "eve@example.com", "bob@example.com"},
	"issuer":           {"https://login.acme.example", "https://login.acme.example/realms/a", "http://127.0.0.1:1"},
	"domain":           {"acme.example", "unproved.example"},
	"domains":          {"acme.example", "ACME.example", "unproved.example", "bücher.example"},
	"confirm":          {"default"},
	"allowed_networks": {"192.0.2.0/24", "198.51.100.7", "203.0.113.9/8", "2001:db8::/32", "::ffff:192.0.2.0/120", "::1", "0.0.0.0/0"},
}

// likely reports true n times of 100.
func (s *source) likely(n int) bool { return s.IntN(100) < n }

func pick[T any](s *source, all []T) T { return all[s.IntN(len(all))] }

// value draws a value of a schema; name is that of the field.
func (s *source) value(name string, schema *openapi3.Schema) any {
	switch {
	case len(schema.Enum) > 0:
		return pick(s, schema.Enum)
	case schema.Type.Is("array"):
		return s.array(name, schema)
	case name == "scopes" && len(s.held) > 0:
		return pick(s, s.held)
	case known[name] != nil && s.likely(80):
		return pick(s, known[name])
	case schema.Type.Is("object"):
		return s.object(schema)
	case schema.Type.Is("string"):
		return s.text(schema)
	case schema.Type.Is("integer"):
		low, high := bounds(schema)
		return json.Number(strconv.FormatInt(s.between(int64(low), int64(high)), 10))
	case schema.Type.Is("number"):
		low, high := bounds(schema)
		n := pick(s, []float64{low, high, low + (high-low)*s.Float64(), min(high, low+float64(s.IntN(100)))})
		return json.Number(strconv.FormatFloat(n, 'g', -1, 64))
	case schema.Type.Is("boolean"):
		return s.likely(50)
	default:
		return s.word()
	}
}

func bounds(schema *openapi3.Schema) (low, high float64) {
	low, high = -1e9, 1e9
	if schema.Min != nil {
		low = *schema.Min
	}
	if schema.Max != nil {
		high = *schema.Max
	}
	return low, high
}

// between draws a number, often one of the ends.
func (s *source) between(low, high int64) int64 {
	switch n := s.IntN(10); {
	case n == 0:
		return low
	case n == 1:
		return high
	case n < 6 && high-low > 20:
		return low + s.Int64N(20)
	default:
		return low + s.Int64N(high-low+1)
	}
}

func (s *source) object(schema *openapi3.Schema) map[string]any {
	object := map[string]any{}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		if slices.Contains(schema.Required, name) || s.likely(30) || name == "domains" { // without which there is nothing to verify
			object[name] = s.value(name, schema.Properties[name].Value)
		}
	}
	if _, ok := object["args"]; ok {
		object["args"] = s.value("", s.args)
	}
	if more := schema.AdditionalProperties.Schema; more != nil {
		for range s.IntN(4) {
			object[s.word()] = s.value("", more.Value)
		}
	}
	return object
}

func (s *source) array(name string, schema *openapi3.Schema) []any {
	most := uint64(4)
	if schema.MaxItems != nil {
		most = min(most, *schema.MaxItems)
	}
	array := []any{}
	for range schema.MinItems + s.Uint64N(most-schema.MinItems+1) {
		array = append(array, s.value(name, schema.Items.Value))
	}
	return array
}

// text draws a string, often with the marker in it.
func (s *source) text(schema *openapi3.Schema) string {
	if schema.Format == "date-time" {
		return s.time().Format(pick(s, []string{time.RFC3339, time.RFC3339Nano}))
	}
	if example, ok := schema.Example.(string); ok && s.likely(20) {
		return example
	}
	marked := s.marker + "-" + s.word()
	if s.likely(70) && fits(schema, marked) {
		return marked
	}
	if schema.Pattern != "" {
		return s.matching(schema)
	}
	return s.long(max(schema.MinLength, s.Uint64N(40)), schema.MaxLength)
}

// long returns a string of so many characters, now and then of as many as allowed.
func (s *source) long(n uint64, most *uint64) string {
	if most != nil && (n > *most || s.likely(10)) {
		n = *most
	}
	return strings.Repeat(pick(s, []string{"a", "Z", "7", "-", " "}), int(n))
}

func fits(schema *openapi3.Schema, text string) bool { return schema.VisitJSONString(text) == nil }

// time draws a time around now, or far away.
func (s *source) time() time.Time {
	now := time.Now().UTC()
	switch s.IntN(6) {
	case 0:
		return now.AddDate(s.IntN(5), 0, 0)
	case 1:
		return now.Add(-time.Duration(s.Int64N(int64(time.Hour))))
	case 2:
		return now.In(time.FixedZone("", s.IntN(28*3600)-14*3600))
	default:
		return now.Add(time.Duration(s.Int64N(int64(time.Second))))
	}
}

// word draws what is a name everywhere.
func (s *source) word() string {
	b := make([]byte, 3+s.IntN(6))
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[s.IntN(36)]
	}
	return string(b)
}

// matching draws a string that matches the schema's pattern.
func (s *source) matching(schema *openapi3.Schema) string {
	re, err := syntax.Parse(schema.Pattern, syntax.Perl)
	if err != nil {
		panic(err) // the contract was validated
	}
	most := 64
	if schema.MaxLength != nil {
		most = int(*schema.MaxLength)
	}
	var b strings.Builder
	s.match(&b, re.Simplify(), most)
	return b.String()
}

// match writes what matches re, with at most so many repetitions of its parts.
func (s *source) match(b *strings.Builder, re *syntax.Regexp, most int) {
	times := 1
	switch re.Op {
	case syntax.OpLiteral:
		b.WriteString(string(re.Rune))
	case syntax.OpCharClass:
		pair := 2 * s.IntN(len(re.Rune)/2)
		b.WriteRune(re.Rune[pair] + s.Int32N(re.Rune[pair+1]-re.Rune[pair]+1))
	case syntax.OpAlternate:
		s.match(b, pick(s, re.Sub), most)
	case syntax.OpPlus:
		times = 1 + s.IntN(most)
	case syntax.OpStar:
		times = s.IntN(most + 1)
	case syntax.OpQuest:
		times = s.IntN(2)
	default: // nothing by itself, or its parts
	}
	if re.Op == syntax.OpAlternate {
		return
	}
	for range times {
		for _, part := range re.Sub {
			s.match(b, part, most)
		}
	}
}

// parse reads JSON and keeps the digits of numbers.
func parse(raw []byte) (any, error) {
	var value any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	err := dec.Decode(&value)
	return value, err
}

// encode writes JSON as it was drawn: raw texts as they are, without escaping HTML.
func encode(value any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(value); err != nil {
		panic(err) // what was drawn can be written
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// hostile are texts that have broken something somewhere.
var hostile = []string{
	"", " ", "\t", "\x00", "a\x00b", "a\nb", "\r\nX-Injected: 1", "'", "\"", "`", "''; DROP TABLE jobs; --", "' OR 1=1 --", "?", "?0", "$1",
	"-1", "--", "- -1", "\\", "\\'", "%", "%00", "%s%n", "{{.}}", "${x}", "{}", "[]", "null", "true", "NaN", "Infinity", "1e999", "0x1F", "1_000",
	"-9223372036854775808", "9223372036854775808", "../../etc", "<script>alert(1)</script>", "=1+1", "é", "e\u0301", "\u202etxt", "\u200b", "\ufeff", "\ufffd",
	"\U0001f600", "\U0010ffff", "ﬃ", "ＤＥＦＡＵＬＴ", "İ", "\u2028", "2030-02-30T00:00:00Z", "0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:60Z",
	strings.Repeat("a", 65), strings.Repeat("é", 257), strings.Repeat("\U0001f600", 513), strings.Repeat("x", 20_000),
}

// numbers are those at the ends of types and in odd forms.
var numbers = []string{
	"-1", "0", "-0", "1.0", "1e0", "-1e0", "0.5", "-0.0001", "101", "2147483647", "2147483648", "-2147483649", "9007199254740993", "9223372036854775807",
	"9223372036854775808", "-9223372036854775808", "18446744073709551616", "1e308", "-1e308", "1e309", "1e-400", "123456789012345678901234567890",
}

// beside draws a value just within or just beyond a bound of the schema, nil if it has
// none.
func (s *source) beside(schema *openapi3.Schema) any {
	var all []any
	number := func(n float64) { all = append(all, json.Number(strconv.FormatFloat(n, 'f', -1, 64))) }
	if schema.Min != nil {
		number(*schema.Min - 1)
		number(*schema.Min)
		number(math.Nextafter(*schema.Min, -1))
	}
	if schema.Max != nil {
		number(*schema.Max + 1)
		number(*schema.Max)
	}
	if schema.MinLength > 0 {
		all = append(all, strings.Repeat("a", int(schema.MinLength)-1), strings.Repeat("a", int(schema.MinLength)))
	}
	if schema.MaxLength != nil {
		for _, c := range []string{"a", "é"} {
			all = append(all, strings.Repeat(c, int(*schema.MaxLength)), strings.Repeat(c, int(*schema.MaxLength)+1))
		}
	}
	if schema.MaxItems != nil {
		array := make([]any, *schema.MaxItems+1)
		for i := range array {
			array[i] = s.value("", schema.Items.Value)
		}
		all = append(all, array, array[1:])
	}
	if schema.MaxProps != nil {
		object := map[string]any{}
		for i := range *schema.MaxProps + uint64(s.IntN(2)) {
			object["n"+strconv.FormatUint(i, 10)] = s.value("", schema.AdditionalProperties.Schema.Value)
		}
		all = append(all, object)
	}
	if len(all) == 0 {
		return nil
	}
	return pick(s, all)
}

// cut shortens what is to be read by people.
func cut(b []byte, n int) string {
	if len(b) <= n {
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	for n > 0 && !utf8.RuneStart(b[n]) {
		n--
	}
	return strings.ToValidUTF8(string(b[:n]), "\ufffd") + "…"
}
