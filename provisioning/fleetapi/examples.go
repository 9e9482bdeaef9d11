package fleetapi

import (
	"time"

	"github.com/boomgate/boomgate/provisioning"
)

// clientExamples are the examples of the document for one kind of client.
type clientExamples struct {
	creation         NewClient
	patch            Settings
	record, disabled Client
	retired          Client // without its secret
	credential       Credential
	rotated          Credential
	receipt          Receipt
}

// examples tell one small story of a client of the kind.
func (k clientKind) examples() clientExamples {
	id, settings := k.example()
	created := time.Date(2027, time.March, 1, 8, 30, 0, 0, time.UTC)
	record := Client{
		ID: id, Kind: string(k.kind), Name: settings.Name, Labels: orEmptyMap(settings.Labels), Roles: orEmpty(settings.Roles),
		Grants: []Grant{}, Status: string(provisioning.StatusActive),
		Secrets:    []Secret{{ID: "secret-4c1x7qk2m9t3", CreatedAt: created}},
		Attributes: map[string]string{}, MQTTClientIDs: []string{}, Certificates: []Certificate{},
		Version: 1, CreatedAt: created, UpdatedAt: created,
	}
	disabled := record
	disabled.Status, disabled.Version, disabled.UpdatedAt = string(provisioning.StatusDisabled), 2, created.Add(time.Hour)
	retired := record
	retired.Secrets, retired.Version, retired.UpdatedAt = []Secret{}, 2, created.Add(time.Hour)
	credential := Credential{
		ClientID: id, ClientSecret: "bg_…", TokenEndpoint: "https://gate.example/oauth/token",
		MQTTURL: "mqtts://gate.example:8883", Client: record,
	}
	rotated, receipt := credential, receiptExample()
	rotated.Receipt = &Receipt{}
	return clientExamples{
		creation: NewClient{ID: id, Settings: settings}, patch: Settings{Labels: map[string]string{"site": "south"}},
		record: record, disabled: disabled, retired: retired, credential: credential, rotated: rotated, receipt: receipt,
	}
}

func (k clientKind) example() (id string, settings Settings) {
	switch k.kind {
	case provisioning.KindService:
		return "occupancy-board", Settings{Name: "Occupancy board", Roles: []string{provisioning.RoleTelemetryReader}}
	case provisioning.KindOperator:
		return "night-shift", Settings{Name: "Night shift", Roles: []string{provisioning.RoleFleetViewer}}
	default:
		return "sensor-b2-017", Settings{
			Name: "Level B2, space 17", Labels: map[string]string{"site": "north"}, Roles: []string{provisioning.RoleParkingSensor},
		}
	}
}

func receiptExample() Receipt { return Receipt{Sessions: 1, Subscriptions: 2, TookMS: 1.25} }

func roleExample() Role {
	created := time.Date(2027, time.March, 1, 8, 0, 0, 0, time.UTC)
	return Role{
		ID: "site-reader", Description: "Reads the state of every space of a site.",
		Grants:  []Grant{{Audience: provisioning.AudienceMQTT, Scopes: []string{"sub:parking/v1/{labels.site}/+/state"}}},
		Limits:  Limits{Sessions: 2},
		Version: 1, CreatedAt: created, UpdatedAt: created,
	}
}

func sessionExample() Session {
	connected := time.Date(2027, time.March, 1, 9, 0, 0, 0, time.UTC)
	return Session{
		ID: "sensor-b2-017", ClientID: "sensor-b2-017", Remote: "192.0.2.17:50312", Protocol: "5", Listener: "tls",
		ConnectedAt: connected, ExpiresAt: connected.Add(time.Hour), TokenID: "0mq3wzk7v1c9", Subscriptions: 1,
	}
}

func revocationExample() Revocation {
	created := time.Date(2027, time.March, 1, 9, 30, 0, 0, time.UTC)
	return Revocation{
		ID: "revocation-4c1x7qk2m9t3", ClientID: "sensor-b2-017", IssuedBefore: created, ExpiresAt: created.AddDate(0, 0, 1),
		CreatedAt: created, CreatedBy: "root", Reason: "found on a shared drive",
	}
}

func signingKeyExample() SigningKey {
	return SigningKey{
		ID: "eddsa-4c1x7qk2m9t3", Alg: "EdDSA", CreatedAt: time.Date(2027, time.March, 1, 8, 0, 0, 0, time.UTC), Current: true,
	}
}

func previewExample() RolePreview {
	return RolePreview{Unchanged: 3, Items: []ClientDiff{{
		ID:    "occupancy-board",
		Gains: []Grant{{provisioning.AudienceMQTT, []string{"sub:parking/v1/north/#"}}}, Loses: []Grant{},
	}}}
}

func explainExample() Explanation {
	const grant = "pub:parking/v1/north/sensor-b2-017/state"
	return Explanation{
		Allowed: true, Rule: "granted", Grant: grant, ClientID: "sensor-b2-017", Grants: []string{grant},
		Checks: []Check{{"client", true, "sensor-b2-017 is active"}, {"grants", true, grant + " covers the topic"}},
	}
}

func refusalExample() Refusal {
	return Refusal{
		Time: time.Date(2027, time.March, 1, 9, 15, 0, 0, time.UTC), Kind: "publish", Rule: "no-grant", ReasonCode: 0x87,
		ClientID: "sensor-b2-017", MQTTClientID: "sensor-b2-017", Remote: "192.0.2.17:50312",
		Topic: "parking/v1/south/sensor-b2-017/state", Detail: "no grant covers the topic", Verified: true,
	}
}
