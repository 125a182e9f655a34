// Package fault holds the errors that callers may see: each has a stable code, a kind that decides the HTTP
// status, and a message in English and Chinese written for the person who made the call.
//
// Everything else that goes wrong is a plain wrapped error; it stays in the log and is answered as "internal".
package fault

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Kind says what sort of refusal a fault is. The HTTP layer maps each kind to one status.
type Kind int

// The kinds, with the status that each is answered with.
const (
	Malformed       Kind = iota + 1 // 400: not what the contract allows
	Unauthenticated                 // 401: no token, or one that does not verify
	Forbidden                       // 403: a good token that may not do this
	NotFound                        // 404
	NotAllowed                      // 405
	Conflict                        // 409: the state of the data forbids it
	Precondition                    // 412: If-Match no longer holds
	Timeout                         // 408: the request did not arrive in its time
	TooLarge                        // 413
	Unsupported                     // 415: a media type or encoding that is not understood
	Invalid                         // 422: understood, but against a rule
	Required                        // 428: a precondition must be sent
	TooMany                         // 429
	Unavailable                     // 503: try again later
	Internal                        // 500: nobody classified it
)

// Text is a message in both languages of the service.
type Text struct{ En, Zh string }

// T is a Text.
func T(en, zh string) Text { return Text{En: en, Zh: zh} }

// Field is one place of a request that is wrong.
type Field struct {
	Pointer   string   // RFC 6901 JSON pointer into the body; empty for parameters
	Parameter string   // name of the query, path or header parameter; empty for bodies
	Character int      // of a condition's text, counted from 1; 0 where the place is the whole value
	Code      string   // stable: required, too_long, unknown_value, ...
	Detail    Text     // what is wrong and what would be accepted
	Accepted  []string // the accepted values where they are few
	Rule      string   // the tenant's rule that found it, by name; empty when the service did
}

// Fault is an error written for the caller. Values made by New are sentinels to compare with errors.Is,
// which holds for every fault of the same code.
type Fault struct {
	Kind       Kind
	Code       string
	Message    Text
	Fields     []Field
	RetryAfter int // seconds; 0 says nothing
}

var catalogue = struct {
	sync.Mutex
	byCode map[string]*Fault
}{byCode: map[string]*Fault{}}

// New makes a sentinel and enters it in the catalogue behind /problems. A code that exists already panics at
// start, because two meanings of one code could not be told apart by callers.
func New(kind Kind, code, en, zh string) *Fault {
	catalogue.Lock()
	defer catalogue.Unlock()
	if _, taken := catalogue.byCode[code]; taken {
		panic("fault: code " + code + " is defined twice")
	}
	f := &Fault{Kind: kind, Code: code, Message: T(en, zh)}
	catalogue.byCode[code] = f
	return f
}

// Catalogue lists every sentinel by code.
func Catalogue() []*Fault {
	catalogue.Lock()
	defer catalogue.Unlock()
	all := make([]*Fault, 0, len(catalogue.byCode))
	for _, code := range slices.Sorted(maps.Keys(catalogue.byCode)) {
		all = append(all, catalogue.byCode[code])
	}
	return all
}

// Of is the first fault in err's chain, or nil.
func Of(err error) *Fault {
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	return nil
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message.En }

// Is reports whether target is a fault of the same code.
func (f *Fault) Is(target error) bool {
	t, ok := target.(*Fault)
	return ok && t.Code == f.Code
}

// Because is f with a message of its own for this occasion.
func (f *Fault) Because(en, zh string) *Fault {
	c := *f
	c.Message = T(en, zh)
	return &c
}

// At is f with one more wrong place in the request's body.
func (f *Fault) At(pointer, code string, detail Text, accepted ...string) *Fault {
	return f.with(Field{Pointer: pointer, Code: code, Detail: detail, Accepted: accepted})
}

// AtParameter is f with one more wrong parameter.
func (f *Fault) AtParameter(name, code string, detail Text, accepted ...string) *Fault {
	return f.with(Field{Parameter: name, Code: code, Detail: detail, Accepted: accepted})
}

// Below is f with prefix put before every pointer: for a part of a larger body.
func (f *Fault) Below(prefix string) *Fault {
	c := *f
	c.Fields = slices.Clone(f.Fields)
	for i := range c.Fields {
		c.Fields[i].Pointer = prefix + c.Fields[i].Pointer
	}
	return &c
}

// Retry is f with the seconds after which trying again makes sense.
func (f *Fault) Retry(seconds int) *Fault {
	c := *f
	c.RetryAfter = seconds
	return &c
}

func (f *Fault) with(field Field) *Fault {
	c := *f
	c.Fields = append(slices.Clone(f.Fields), field)
	return &c
}

// ErrInvalid is the fault of a request that the contract allows and a rule refuses.
var ErrInvalid = New(Invalid, "invalid", "the request breaks a rule; errors says where", "请求不符合规则，详见 errors")

var pointerEscapes = strings.NewReplacer("~", "~0", "/", "~1")

// Escape is name as a reference token of a JSON pointer (RFC 6901, section 3).
func Escape(name string) string { return pointerEscapes.Replace(name) }

// Validator collects every wrong place of a request before failing once. Its zero value is ready.
type Validator struct{ fields []Field }

// Check records the place when ok is false, and answers ok.
func (v *Validator) Check(ok bool, pointer, code string, detail Text, accepted ...string) bool {
	if !ok {
		v.fields = append(v.fields, Field{Pointer: pointer, Code: code, Detail: detail, Accepted: accepted})
	}
	return ok
}

// Add records places that were found elsewhere.
func (v *Validator) Add(fields ...Field) { v.fields = append(v.fields, fields...) }

// Merge takes over the places of err when it is a fault that names some, below prefix, and answers any other error.
func (v *Validator) Merge(prefix string, err error) error {
	f := Of(err)
	if err == nil || f == nil || len(f.Fields) == 0 {
		return err
	}
	v.fields = append(v.fields, f.Below(prefix).Fields...)
	return nil
}

// Err is ErrInvalid with all places recorded, or nil when there are none.
func (v *Validator) Err() error {
	if len(v.fields) == 0 {
		return nil
	}
	f := *ErrInvalid
	f.Fields = v.fields
	return &f
}
