package devicesim

import "time"

// Kind says what an Event is about.
type Kind string

// The kinds of events. Arrived and Departed are what truly happens on the lot, all others what the sensor does or suffers.
const (
	Arrived      Kind = "arrived"
	Departed     Kind = "departed"
	Connected    Kind = "connected"    // through the gate, and ready
	Renewed      Kind = "renewed"      // got a fresh token and is about to reconnect with it
	Refused      Kind = "refused"      // by the token endpoint or the broker; see Cause
	Failed       Kind = "failed"       // to reach the token endpoint or the broker, or no good answer; see Cause
	Disconnected Kind = "disconnected" // said goodbye and left
	Lost         Kind = "lost"         // the connection broke, or the sensor fell silent; see Cause
	Published    Kind = "published"    // and acknowledged, where the QoS asks for it
	Dropped      Kind = "dropped"      // the oldest kept message, for want of room
	Commanded    Kind = "commanded"    // carried out a command; Cause is its name
	Rebooted     Kind = "rebooted"     // see Cause
)

// Event is something that happens to a sensor or on its parking space. Fields that do not belong to its Kind are zero.
type Event struct {
	Time   time.Time // virtual
	Kind   Kind
	Space  int // index in Config.Sensors
	Device string
	Spot   string
	Topic  string // Published, Dropped
	QoS    byte   // Published
	Status Status // Published to …/state
	Cause  string // one of few fixed texts, never what a server sent
}

// Stats are counts of a Fleet since its Run began. Sensors, Connected and Occupied are counts of now.
type Stats struct {
	Sensors   int // in the fleet
	Connected int // ready at this moment
	Occupied  int // spaces that are truly taken

	TokenRequests   int // at the token endpoint
	TokensRefused   int // because of the credential
	Connects        int // CONNECTs that were accepted
	ConnectsRefused int // CONNECTs that the broker refused
	Failures        int // attempts that reached nobody or got no good answer
	Renewals        int // tokens renewed on a live connection
	Losses          int // connections that ended without a goodbye
	Published       int // messages, acknowledged where their QoS asks for it
	Dropped         int // messages for want of room
	Commands        int // carried out
	Arrivals        int
	Departures      int
}

// Spot is a snapshot of a parking space and its sensor.
type Spot struct {
	Device    string
	Name      string
	Occupied  bool   // the truth
	Status    Status // what the sensor takes for the truth
	Connected bool
}
