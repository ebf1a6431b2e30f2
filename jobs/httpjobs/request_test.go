package httpjobs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/httpjobs"
)

func readSchema(t testing.TB) *openapi3.Schema {
	t.Helper()
	raw, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	schema := &openapi3.Schema{}
	if err := errors.Join(json.Unmarshal(raw, schema), schema.Validate(t.Context())); err != nil {
		t.Fatal(err)
	}
	return schema
}

// checkSchema reports whether the schema takes a JSON text.
func checkSchema(t testing.TB, schema *openapi3.Schema, text []byte) error {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	return schema.VisitJSON(value, openapi3.VisitAsRequest())
}

// ruled says which of the two forms of the rules refuse a request.
type ruled string

const (
	taken   ruled = "taken by both"
	refused ruled = "refused by both"
	byCode  ruled = "refused by Validate, as a schema cannot say it"
)

func with(fields string) string { return `{"url":"https://example.com/",` + fields + `}` }

func repeated(n int, element string) string {
	return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
}

// TestSchemaAndValidateAgree holds the two forms of the rules to each other.
func TestSchemaAndValidateAgree(t *testing.T) {
	schema := readSchema(t)
	for text, want := range map[string]ruled{
		`{"url":"https://example.com/"}`:          taken,
		`{"url":"http://10.0.0.1:1/x?y=z"}`:       taken,
		with(`"method":"PUT","body":"x"`):         taken,
		with(`"method":"DELETE","body":"x"`):      taken,
		with(`"method":"OPTIONS","body":"x"`):     taken,
		with(`"method":"TRACE"`):                  refused,
		with(`"method":"CONNECT"`):                refused,
		with(`"method":"get"`):                    refused,
		`{"url":""}`:                              refused,
		`{}`:                                      refused,
		`{"url":"ftp://example.com/"}`:            byCode,
		`{"url":"/relative"}`:                     byCode,
		`{"url":"https://user@example.com/"}`:     byCode,
		`{"url":"https://example.com/#fragment"}`: byCode,
		`{"url":"https://example.com/` + strings.Repeat("a", 8192-20) + `"}`: taken,
		`{"url":"https://example.com/` + strings.Repeat("a", 8193-20) + `"}`: refused,

		with(`"headers":[]`):                                                                        taken,
		with(`"headers":[{"name":"A","value":""}]`):                                                 taken,
		with(`"headers":[{"name":"A","value":"a\tb ü","secret":true}]`):                             taken,
		with(`"headers":[{"name":"!#$%&'*+-.^_|~","value":"x"},{"name":"` + "`" + `","value":""}]`): taken,
		with(`"headers":` + repeated(64, `{"name":"A","value":"b"}`)):                               taken,
		with(`"headers":` + repeated(65, `{"name":"A","value":"b"}`)):                               refused,
		with(`"headers":[{"name":"","value":""}]`):                                                  refused,
		with(`"headers":[{"name":"a b","value":""}]`):                                               refused,
		with(`"headers":[{"name":"a:","value":""}]`):                                                refused,
		with(`"headers":[{"name":"a\n","value":""}]`):                                               refused,
		with(`"headers":[{"name":"ü","value":""}]`):                                                 refused,
		with(`"headers":[{"name":"` + strings.Repeat("a", 128) + `","value":""}]`):                  taken,
		with(`"headers":[{"name":"` + strings.Repeat("a", 129) + `","value":""}]`):                  refused,
		with(`"headers":[{"name":"A","value":"` + strings.Repeat("b", 8192) + `"}]`):                taken,
		with(`"headers":[{"name":"A","value":"` + strings.Repeat("b", 8193) + `"}]`):                refused,
		with(`"headers":[{"name":"A","value":"` + strings.Repeat("ü", 8192) + `"}]`):                byCode,
		with(`"headers":[{"name":"A","value":"x\r\ny"}]`):                                           byCode,
		with(`"headers":[{"name":"A","value":"\u0000"}]`):                                           byCode,
		with(`"headers":[{"name":"A","value":"\u007f"}]`):                                           byCode,
		with(`"headers":[{"name":"Host","value":"x"}]`):                                             byCode,

		with(`"method":"POST","body":"` + strings.Repeat("a", httpjobs.MaxBody) + `"`):                                       taken,
		with(`"method":"POST","body":"` + strings.Repeat("a", httpjobs.MaxBody+1) + `"`):                                     byCode,
		with(`"method":"POST","body_encoding":"base64","body":"` + strings.Repeat("AAAA", httpjobs.MaxBody/3) + `AA=="`):     taken,
		with(`"method":"POST","body_encoding":"base64","body":"` + strings.Repeat("AAAA", httpjobs.MaxBody/3) + `AAA="`):     byCode,
		with(`"method":"POST","body_encoding":"base64","body":"` + strings.Repeat("AAAA", httpjobs.MaxBody/3) + `AAAAAAAA"`): refused,
		with(`"method":"POST","body_encoding":"text","body":"\u0000"`):                                                       taken,
		with(`"method":"POST","body_encoding":"base64","body":"AP8="`):                                                       taken,
		with(`"method":"POST","body_encoding":"base64","body":"AP8"`):                                                        byCode,
		with(`"method":"POST","body_encoding":"hex","body":"00"`):                                                            refused,
		with(`"body":"x"`):                 byCode,
		with(`"method":"HEAD","body":"x"`): byCode,

		with(`"timeout_seconds":0`):                       taken,
		with(`"timeout_seconds":0.25`):                    taken,
		with(`"timeout_seconds":86400`):                   taken,
		with(`"timeout_seconds":86400.5`):                 refused,
		with(`"timeout_seconds":-1`):                      refused,
		with(`"expected_status":[]`):                      taken,
		with(`"expected_status":[100,200,599]`):           taken,
		with(`"expected_status":[600]`):                   refused,
		with(`"expected_status":[99]`):                    refused,
		with(`"expected_status":` + repeated(100, "200")): taken,
		with(`"expected_status":` + repeated(101, "200")): refused,
	} {
		t.Run(fmt.Sprintf("%.90s is %s", text, want), func(t *testing.T) {
			if err := checkSchema(t, schema, []byte(text)); (err != nil) != (want == refused) {
				t.Errorf("the schema says: %v", err)
			}
			var req httpjobs.Request
			if err := json.Unmarshal([]byte(text), &req); err != nil {
				t.Fatal(err)
			}
			err := req.Validate()
			if (err == nil) != (want == taken) || err != nil && !errors.Is(err, jobs.ErrInvalid) {
				t.Errorf("Validate says: %v", err)
			}
		})
	}
}

func TestSchemaRefusesWhatDoesNotDecode(t *testing.T) {
	schema := readSchema(t)
	for _, text := range []string{
		with(`"colour":"red"`), with(`"headers":[{"name":"A","value":"b","colour":"red"}]`), with(`"headers":{"A":"b"}`),
		with(`"headers":[{"name":"A"}]`), with(`"timeout_seconds":"5"`), with(`"expected_status":[200.5]`), with(`"expected_status":200`),
		with(`"body":{}`), `{"url":7}`, `[]`, `"https://example.com/"`, `null`,
	} {
		t.Run(text, func(t *testing.T) {
			if err := checkSchema(t, schema, []byte(text)); err == nil {
				t.Error("the schema takes it")
			}
		})
	}
}

// TestSchemaKnowsEachField holds the schema to the fields of the Go types.
func TestSchemaKnowsEachField(t *testing.T) {
	schema := readSchema(t)
	full := httpjobs.Request{
		Method: "PUT", URL: "u", Headers: []httpjobs.Header{{Name: "A", Value: "b", Secret: true}},
		Body: "b", BodyEncoding: "text", TimeoutSeconds: 1, ExpectedStatus: []int{200},
	}
	for what, tt := range map[string]struct {
		value  any
		schema *openapi3.Schema
	}{
		"a request": {full, schema},
		"a header":  {full.Headers[0], schema.Properties["headers"].Value.Items.Value},
	} {
		t.Run("of "+what, func(t *testing.T) {
			raw, err := json.Marshal(tt.value)
			if err != nil {
				t.Fatal(err)
			}
			var fields map[string]any
			if err := json.Unmarshal(raw, &fields); err != nil {
				t.Fatal(err)
			}
			got, want := slices.Sorted(maps.Keys(tt.schema.Properties)), slices.Sorted(maps.Keys(fields))
			if !slices.Equal(got, want) {
				t.Errorf("the schema knows %v, the type %v", got, want)
			}
		})
	}
}

func TestValidateNamesEachField(t *testing.T) {
	err := httpjobs.Request{
		Method: "X", URL: "/", TimeoutSeconds: math.NaN(), ExpectedStatus: []int{200, 1}, BodyEncoding: "hex",
		Headers: []httpjobs.Header{
			{Name: "A", Value: "ok"},
			{Name: "", Value: "x"},
			{Name: "canary canary", Value: "x", Secret: true},
			{Name: "A", Value: "canary\x00", Secret: true},
			{Name: "transfer-encoding", Value: "chunked"},
			{Name: "A", Value: "\xff"},
		},
	}.Validate()
	var got []string
	for _, e := range fault.All(err) {
		got = append(got, e.Field+" "+e.Code)
	}
	want := []string{
		"/method unknown_method", "/url invalid_url",
		"/headers/1/name required", "/headers/2/name invalid_header", "/headers/3/value invalid_header",
		"/headers/4/name reserved_header", "/headers/5/value invalid_header",
		"/body_encoding unknown_encoding", "/timeout_seconds out_of_range", "/expected_status/1 out_of_range",
	}
	if !slices.Equal(got, want) {
		t.Errorf("Validate names %q, want %q", got, want)
	}
	if strings.Contains(err.Error(), "canary") {
		t.Errorf("Validate repeats what it refuses: %v", err)
	}
}

func TestValidateRefusesHeadersOfTheConnection(t *testing.T) {
	for _, name := range []string{
		"Connection", "content-length", "Expect", "HOST", "HTTP2-Settings", "Keep-Alive", "Proxy-Authenticate",
		"Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
	} {
		t.Run(name, func(t *testing.T) {
			err := httpjobs.Request{URL: "https://example.com/", Headers: []httpjobs.Header{{Name: name, Value: "x"}}}.Validate()
			if all := fault.All(err); len(all) != 1 || all[0].Field != "/headers/0/name" || all[0].Code != "reserved_header" {
				t.Errorf("Validate = %v, want /headers/0/name refused", err)
			}
		})
	}
}

func TestValidateRefusesBytesAsText(t *testing.T) {
	err := httpjobs.Request{Method: "POST", URL: "https://example.com/", Body: "\xff"}.Validate()
	if all := fault.All(err); len(all) != 1 || all[0].Field != "/body" || all[0].Code != "invalid_utf8" {
		t.Errorf("Validate = %v, want /body refused", err)
	}
}

func TestTheQueueRefusesWhatValidateDoes(t *testing.T) {
	registry := jobs.NewRegistry(nil)
	if err := httpjobs.Register(registry, nil); err != nil {
		t.Fatal(err)
	}
	queue := jobs.New(jobs.NewMemStore(), registry, nil)
	for name, tt := range map[string]struct{ args, want string }{
		"a wrong URL":             {`{"url":"file:///etc/passwd"}`, "/args/url"},
		"a reserved header":       {with(`"headers":[{"name":"A","value":"b"},{"name":"Host","value":"b"}]`), "/args/headers/1/name"},
		"an unknown field":        {with(`"colour":"red"`), "/args/colour"},
		"more JSON than it takes": {with(`"method":"POST","body":"` + strings.Repeat("<", httpjobs.MaxBody/4) + `"`), "/args"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := queue.EnqueueJSON(t.Context(), httpjobs.Kind, []byte(tt.args), nil)
			if all := fault.All(err); len(all) != 1 || all[0].Field != tt.want {
				t.Errorf("EnqueueJSON = %v, want an error about %s", err, tt.want)
			}
		})
	}
	if all, err := queue.List(t.Context(), jobs.ListQuery{Limit: 1}); err != nil || len(all) != 0 {
		t.Errorf("List = %d jobs, %v, want none", len(all), err)
	}
}

// FuzzSchemaTakesWhatValidateTakes holds the schema to being the wider of the two.
func FuzzSchemaTakesWhatValidateTakes(f *testing.F) {
	f.Add([]byte(`{"url":"https://example.com/"}`))
	f.Add([]byte(with(`"method":"POST","headers":[{"name":"A","value":"b","secret":true}],"body":"AP8=","body_encoding":"base64"`)))
	f.Add([]byte(with(`"timeout_seconds":0.5,"expected_status":[200,404]`)))
	schema := readSchema(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		var req httpjobs.Request
		dec := json.NewDecoder(bytes.NewReader(text))
		if dec.Decode(&req) != nil || req.Validate() != nil {
			return
		}
		written, err := json.Marshal(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := checkSchema(t, schema, written); err != nil {
			t.Errorf("the schema says of %s: %v", written, err)
		}
	})
}
