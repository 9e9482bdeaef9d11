package fleetapi

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/danielgtaylor/huma/v2"

	"github.com/boomgate/boomgate/provisioning"
)

// refuse turns the error of an operation into an answer, and logs it if it is
// the server's own fault.
func (a *API) refuse(ctx context.Context, operation string, err error) *Problem {
	p := problemOf(err)
	if p != nil && !errors.Is(err, provisioning.ErrIncomplete) {
		return p
	}
	if p == nil && ctx.Err() != nil {
		return unavailable.problem("The request ended before its answer.")
	}
	a.log.ErrorContext(ctx, "an operation failed", logOperation, operation, logError, err)
	if p == nil {
		p = internal.problem("The server could not do this; its log says why.")
	}
	return p
}

// problemOf is the one table from errors to problems; nil means the server's own
// fault.
func problemOf(err error) *Problem {
	var problem *Problem
	var faults *provisioning.InvalidError
	switch {
	case errors.As(err, &problem):
		return problem
	case errors.Is(err, provisioning.ErrIncomplete): // before whatever kept it from being done
		return incomplete.problem("The client is locked out and its sessions are closed, but something of it is still there; "+
			"the log says what. Repeat the request, without If-Match or with the record's new ETag.").with("Retry-After", "5")
	case errors.As(err, &faults):
		return invalidFields("body", faults)
	case errors.Is(err, provisioning.ErrExists): // before ErrDeleted, which it may be too
		return exists.problem("The ID is taken, or was and is never used again. Choose another, or none to have one generated.")
	case errors.Is(err, provisioning.ErrNotFound):
		return notFound.problem("No record has this ID.")
	case errors.Is(err, provisioning.ErrConflict):
		return conflict.problem("The record changed while this was worked on. Try again.")
	case errors.Is(err, provisioning.ErrLastOperator):
		return lastOperator.problem("Nobody else who is active holds the role " + provisioning.RoleFleetAdmin +
			". Give it to another operator first.")
	case errors.Is(err, provisioning.ErrRoleInUse):
		return roleInUse.problem(roleInUseDetail(err))
	case errors.Is(err, provisioning.ErrBuiltIn):
		return builtInRole.problem("This role comes with the program. Create one of your own with the grants that you need.")
	case errors.Is(err, provisioning.ErrTooManyRevocations):
		return tooManyRevocations.problem(tooManyRevocations.Meaning)
	case errors.Is(err, provisioning.ErrTooLarge):
		return tooLarge.problem("The record is too large to be written at once. Give it fewer grants, labels or attributes.")
	case errors.Is(err, provisioning.ErrClosed):
		return unavailable.problem("The server is stopping. Try again in a moment.").with("Retry-After", "5")
	default:
		return nil
	}
}

func roleInUseDetail(err error) string {
	const advice = "Take the role from them first; the lists of clients show them with ?role=."
	if inUse, ok := errors.AsType[*provisioning.RoleInUseError](err); ok {
		return fmt.Sprintf("Clients that hold the role: %d. %s", inUse.Clients, advice)
	}
	return "Clients hold the role. " + advice
}

// invalidFields names the fields of a record or a query that are at fault.
func invalidFields(part string, faults *provisioning.InvalidError) *Problem {
	p := invalid.problem(countFields(len(faults.Fields)))
	for _, f := range faults.Fields {
		p = p.at(part+"."+f.Field, f.Message)
	}
	return p
}

func countFields(n int) string {
	if n == 1 {
		return "1 field is not as it must be; see errors."
	}
	return fmt.Sprintf("%d fields are not as they must be; see errors.", n)
}

// settle is huma's last look at every answer: its own errors become Problems,
// which do not repeat the values they complain about.
func (a *API) settle(ctx huma.Context, _ string, answer any) (any, error) {
	var p *Problem
	switch e := answer.(type) {
	case *huma.ErrorModel:
		p = problemOfHuma(e)
	case *Problem:
		p = e
	default:
		return answer, nil
	}
	callOf(ctx.Context()).outcome = p.name()
	return p, nil
}

func problemOfHuma(e *huma.ErrorModel) *Problem {
	kind, detail := internal, "The server could not read the request or write its answer."
	switch e.Status {
	case badRequest.Status:
		kind, detail = badRequest, "The body cannot be read; see errors."
		if len(e.Errors) == 0 {
			detail = "This needs a body, a JSON object."
		}
	case timedOut.Status:
		kind, detail = timedOut, "The body came too slowly. Send it again."
	case tooLarge.Status:
		kind, detail = tooLarge, tooLarge.Meaning
	case invalid.Status:
		kind, detail = invalid, countFields(len(e.Errors))
	}
	p := kind.problem(detail)
	for _, fault := range e.Errors {
		p = p.at(fault.Location, fault.Message)
	}
	return p
}

// maxText bounds what an error says of one field, in bytes.
const maxText = 512

// long matches what may be a secret or a part of a token: no name of a field and
// no word is that long.
var long = regexp.MustCompile(`[A-Za-z0-9_-]{33,}`)

// mask takes from the text of an error what a request may have smuggled in.
func mask(text string) string {
	if len(text) > maxText {
		text = text[:maxText] + "…"
	}
	return long.ReplaceAllString(text, "…")
}
