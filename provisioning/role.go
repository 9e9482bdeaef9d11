package provisioning

import (
	"slices"
	"time"
)

// IDs of the built-in roles.
const (
	RoleParkingSensor   = "parking-sensor"
	RoleTelemetryReader = "telemetry-reader"
	RoleFleetAdmin      = "fleet-admin"
	RoleFleetViewer     = "fleet-viewer"
)

// Role is a named set of grants. A built-in role belongs to the program: it is
// installed and brought up to date at the start, and cannot be changed or deleted.
type Role struct {
	ID          string    `json:"id"`
	Description string    `json:"description"`
	Grants      []Grant   `json:"grants"`
	Limits      Limits    `json:"limits"`
	BuiltIn     bool      `json:"built_in"`
	Version     uint64    `json:"version"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
}

// Clone returns a copy that shares nothing with r.
func (r *Role) Clone() *Role {
	d := *r
	d.Grants = cloneGrants(r.Grants)
	return &d
}

// fleetResources are the things of the operators' API that scopes speak of.
var fleetResources = [...]string{"devices", "services", "operators", "roles", "sessions", "keys", "audit"}

// FleetScopes returns every scope of [AudienceFleet].
func FleetScopes() []string {
	return append(fleetScopes("read"), fleetScopes("write")...)
}

func fleetScopes(right string) []string {
	scopes := make([]string, len(fleetResources))
	for i, resource := range fleetResources {
		scopes[i] = resource + ":" + right
	}
	return scopes
}

// BuiltInRoles returns the roles that every registry has, in order of their IDs,
// without versions and times.
func BuiltInRoles() []Role {
	const device = "parking/v1/{labels.site}/{client_id}/"
	const reader = "parking/v1/{labels.site|+}/"
	published := []string{"state", "health", "info", "$state", "ack/+"}
	sensor := append(prefixed("pub:"+device, published), "sub:"+device+"cmd/+")
	telemetry := append(prefixed("sub:"+reader+"+/", published), "sub:"+reader+"$summary")
	roles := []Role{
		builtIn(RoleFleetAdmin, "Everything on the operators' API.", AudienceFleet, FleetScopes()),
		builtIn(RoleFleetViewer, "Reads everything on the operators' API, changes nothing.", AudienceFleet, fleetScopes("read")),
		builtIn(RoleParkingSensor, "A parking sensor: publishes its own topics, receives its own commands. Needs the label site.",
			AudienceMQTT, sensor),
		builtIn(RoleTelemetryReader, "Reads what every sensor publishes, or those of one site if the client has the label site.",
			AudienceMQTT, telemetry),
	}
	roles[2].Limits = sensorLimits
	return roles
}

func builtIn(id, description, audience string, scopes []string) Role {
	return Role{ID: id, Description: description, BuiltIn: true, Grants: []Grant{{audience, scopes}}}
}

func prefixed(prefix string, texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = prefix + text
	}
	return out
}

func sameGrants(a, b []Grant) bool {
	return slices.EqualFunc(a, b, func(x, y Grant) bool {
		return x.Audience == y.Audience && slices.Equal(x.Scopes, y.Scopes)
	})
}
