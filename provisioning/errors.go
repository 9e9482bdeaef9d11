package provisioning

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the domain, to be told apart by errors.Is. An ID that cannot be
// created again is both ErrExists and ErrDeleted; a read of it is ErrDeleted and
// ErrNotFound. Whoever maps errors asks for ErrExists first, and before it for
// ErrIncomplete, which says more than its cause.
var (
	// ErrNotFound: no record has that ID.
	ErrNotFound = errors.New("not found")
	// ErrDeleted: the record was deleted. It is ErrNotFound too.
	ErrDeleted error = deletedError{}
	// ErrExists: the ID is taken.
	ErrExists = errors.New("already exists")
	// ErrConflict: the record has not the version that the caller expected.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInvalid: see [InvalidError] for the fields.
	ErrInvalid = errors.New("invalid")
	// ErrUnauthenticated: see [AuthenticationError] for the reason, which is for
	// the operators and never for the client.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrRoleInUse: see [RoleInUseError] for the count.
	ErrRoleInUse = errors.New("role is in use")
	// ErrBuiltIn: a built-in role cannot be changed or deleted.
	ErrBuiltIn = errors.New("role is built in")
	// ErrLastOperator: the write would leave no active operator that holds
	// [RoleFleetAdmin], and so nobody who could undo it.
	ErrLastOperator = errors.New("last operator with the role fleet-admin")
	// ErrTooManyRevocations: there are [MaxRevocations].
	ErrTooManyRevocations = errors.New("too many revocations")
	// ErrIncomplete: the write has happened and closed the sessions, but something
	// that was to end with it has not. The call is to be repeated.
	ErrIncomplete = errors.New("not everything has ended yet")
	// ErrTooLarge: the change set does not fit into one write of the store.
	ErrTooLarge = errors.New("change set is too large")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("store is closed")
)

type deletedError struct{}

func (deletedError) Error() string        { return "was deleted" }
func (deletedError) Is(target error) bool { return target == ErrNotFound }

// FieldError is one fault of a record. Field is a path as in "labels.site" or
// "grants[0].scopes[2]".
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// InvalidError names every fault of a record at once. It is ErrInvalid.
type InvalidError struct {
	Fields []FieldError
}

func (e *InvalidError) Error() string {
	texts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		texts[i] = f.Field + ": " + f.Message
	}
	return "invalid: " + strings.Join(texts, "; ")
}

// Is reports whether target is ErrInvalid.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Invalid returns an InvalidError with one fault.
func Invalid(field, message string) error {
	return &InvalidError{Fields: []FieldError{{field, message}}}
}

// RoleInUseError says how many clients hold a role that was to be deleted. It is
// ErrRoleInUse.
type RoleInUseError struct {
	Role    string
	Clients int
}

func (e *RoleInUseError) Error() string {
	if e.Clients == 1 {
		return fmt.Sprintf("role %q is in use: 1 client holds it", e.Role)
	}
	return fmt.Sprintf("role %q is in use: %d clients hold it", e.Role, e.Clients)
}

// Is reports whether target is ErrRoleInUse.
func (e *RoleInUseError) Is(target error) bool { return target == ErrRoleInUse }

// AuthenticationReason says why a client was not authenticated. It is for logs
// and metrics; a client learns only that it was not.
type AuthenticationReason string

// Why a client was not authenticated. All but the first three are known only of
// whoever presented a right secret or certificate.
const (
	ReasonUnknownClient AuthenticationReason = "unknown-client"
	ReasonWrongSecret   AuthenticationReason = "wrong-secret"
	// ReasonWrongCertificate: it is none of the client's, or not from a CA that the
	// client's entry asks for.
	ReasonWrongCertificate AuthenticationReason = "wrong-certificate"
	ReasonClientDisabled   AuthenticationReason = "client-disabled"
	ReasonSecretExpired    AuthenticationReason = "secret-expired"
	ReasonSecretTooEarly   AuthenticationReason = "secret-not-yet-valid"
	// ReasonCertificateExpired: it is no longer, or not yet, valid.
	ReasonCertificateExpired AuthenticationReason = "certificate-expired"
)

// AuthenticationError is ErrUnauthenticated with its reason.
type AuthenticationError struct {
	Reason AuthenticationReason
}

func (e *AuthenticationError) Error() string { return "not authenticated: " + string(e.Reason) }

// Is reports whether target is ErrUnauthenticated.
func (e *AuthenticationError) Is(target error) bool { return target == ErrUnauthenticated }
