package devicesim

import (
	"encoding/json"
	"fmt"
	"time"
)

// Version is the version of the payloads, their member v.
const Version = 1

// Status is what a sensor says of its parking space.
type Status string

// The statuses of a parking space. A sensor by itself tells only Free and Occupied.
const (
	StatusFree     Status = "free"
	StatusOccupied Status = "occupied"
	StatusClosed   Status = "closed"
	StatusUnknown  Status = "unknown"
)

// Why says what made a sensor tell its status.
type Why string

// The reasons of a State.
const (
	WhyChange    Why = "change"    // a car has come or gone
	WhyBoot      Why = "boot"      // the sensor has just booted
	WhyHeartbeat Why = "heartbeat" // a heartbeat found a change that had been missed; or, in a Health, it is one
	WhyResync    Why = "resync"    // after a gap: messages were dropped, or the broker has forgotten the session
)

// What a sensor is to its readers, in $state: plain text, not JSON, so that the will can say it.
const (
	StateReady        = "ready"
	StateDisconnected = "disconnected"
	StateLost         = "lost"
)

// Stamp is a time in a payload: RFC 3339 in UTC with milliseconds.
type Stamp struct{ time.Time }

const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// MarshalText writes the time.
func (s Stamp) MarshalText() ([]byte, error) { return s.UTC().AppendFormat(nil, stampLayout), nil }

// MarshalJSON writes the time as a JSON string; it takes precedence over that of the embedded time.Time.
func (s Stamp) MarshalJSON() ([]byte, error) {
	return s.UTC().AppendFormat(nil, `"`+stampLayout+`"`), nil
}

// UnmarshalJSON reads any RFC 3339 time.
func (s *Stamp) UnmarshalJSON(text []byte) error {
	if err := json.Unmarshal(text, &s.Time); err != nil {
		return fmt.Errorf("reading a timestamp: %w", err)
	}
	return nil
}

// Head is what every JSON payload begins with.
type Head struct {
	V   int    `json:"v"`
	Seq uint64 `json:"seq"` // counts all messages of the device; a message that is sent again keeps its number
	TS  Stamp  `json:"ts"`  // of the event, by the clock of the device
}

// State is the payload of …/state: retained, QoS 1, on change and at boot.
type State struct {
	Head

	Spot       string  `json:"spot"`
	Status     Status  `json:"status"`
	Since      Stamp   `json:"since"`
	PrevS      int64   `json:"prev_s"` // seconds for which the sensor held the space for the opposite before; 0 after a boot
	Why        Why     `json:"why"`
	Confidence float64 `json:"conf"`
}

// Health is the payload of …/health, the heartbeat: retained, QoS 0. It repeats the State.
type Health struct {
	State

	BatteryV float64  `json:"battery_v"`
	Battery  string   `json:"battery"` // normal, low, critical
	TempC    float64  `json:"temp_c"`
	RSSI     int      `json:"rssi_dbm"`
	UptimeS  int64    `json:"uptime_s"`
	Changes  uint64   `json:"changes"` // since the boot
	Resets   uint64   `json:"resets"`  // boots after the first
	Flags    []string `json:"flags"`   // FlagBatteryLow, FlagClockUnsynced; never null
}

// Flags of a Health.
const (
	FlagBatteryLow    = "battery_low"
	FlagClockUnsynced = "clock_unsynced"
)

// Info is the payload of …/info: retained, QoS 1, at boot.
type Info struct {
	Head

	Spot       string `json:"spot"`
	Firmware   string `json:"firmware"`
	Hardware   string `json:"hardware"`
	ResetCause string `json:"reset_cause"` // one of parking.Cause, or CauseCommand
	Resets     uint64 `json:"resets"`
}

// CauseCommand is the reset cause of a reboot by command.
const CauseCommand = "command"

// Command is the payload of …/cmd/{name}: QoS 1, to the device. A retained command is ignored: it would be carried out again with
// every subscription.
type Command struct {
	ID string `json:"id"` // 1 to 64 of A-Z, a-z, 0-9, _ and -; names the topic of the answer
}

// The commands that a sensor knows.
const (
	CommandPing     = "ping"     // only answers
	CommandIdentify = "identify" // blinks
	CommandReboot   = "reboot"   // answers, says goodbye, and boots
)

// Answer is the payload of …/ack/{id}: QoS 1. A command that arrives twice is answered twice and carried out once.
type Answer struct {
	Head

	ID      string `json:"id"`
	Command string `json:"cmd"`
	OK      bool   `json:"ok"`
	Error   string `json:"error,omitempty"` // AnswerUnknown
}

// AnswerUnknown is the Error of an Answer to a command that a sensor does not know.
const AnswerUnknown = "unknown command"
