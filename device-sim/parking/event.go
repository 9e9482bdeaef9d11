package parking

import "time"

// Kind says what an Event is about.
type Kind string

// The kinds of events. Arrival and Departure are the truth; what the sensor makes of it are Report, Heartbeat and Boot.
const (
	// Arrival: a car takes the space.
	Arrival Kind = "arrival"
	// Departure: it leaves; Stay says after how long.
	Departure Kind = "departure"
	// Report: the sensor notices that its Reading has changed; Why says how, Repeated that it will say so twice.
	Report Kind = "report"
	// Heartbeat: the sensor repeats its Reading and adds its Health.
	Heartbeat Kind = "heartbeat"
	// Reboot: the sensor goes down, with a Cause. It senses and says nothing until its Boot.
	Reboot Kind = "reboot"
	// Boot: the sensor is up again and has looked at its space: a new Reading.
	Boot Kind = "boot"
	// LinkLost: the sensor can reach nobody until LinkRestored. It goes on sensing.
	LinkLost Kind = "link_lost"
	// LinkRestored ends a LinkLost.
	LinkRestored Kind = "link_restored"
	// StuckBegan: the sensor's Reading no longer changes until StuckEnded.
	StuckBegan Kind = "stuck_began"
	// StuckEnded ends a StuckBegan; a Report follows at once if the space has changed meanwhile.
	StuckEnded Kind = "stuck_ended"
	// ClockWrong: the sensor's clock is off by ClockError until ClockRight. The times in events are always the true ones.
	ClockWrong Kind = "clock_wrong"
	// ClockRight ends a ClockWrong.
	ClockRight Kind = "clock_right"
)

// Status is what a sensor takes its space for.
type Status string

// The statuses that a sensor can tell.
const (
	Free     Status = "free"
	Occupied Status = "occupied"
)

// Why says what made a sensor report.
type Why string

// The reasons of a report.
const (
	// Changed: the sensor saw a car come or go.
	Changed Why = "change"
	// Booted: it looked for the first time after a boot.
	Booted Why = "boot"
	// Healed: a heartbeat found the change that had been missed.
	Healed Why = "heartbeat"
)

// Cause says what made a sensor boot.
type Cause string

// The causes of a reboot.
const (
	PowerOn     Cause = "power_on"
	Watchdog    Cause = "watchdog"
	Brownout    Cause = "brownout"
	Update      Cause = "firmware_update"
	BatterySwap Cause = "battery_swap"
)

// Battery is a coarse reading of a sensor's battery.
type Battery string

// The states of a battery.
const (
	BatteryNormal   Battery = "normal"
	BatteryLow      Battery = "low"
	BatteryCritical Battery = "critical"
)

// Event is something that happens at a space or to its sensor. Fields that do not belong to its Kind are zero.
type Event struct {
	At    time.Time // true time, in the location of Config.Start, whole milliseconds after it
	Space int       // from 0
	Kind  Kind

	Stay       time.Duration // Departure
	Reading    Reading       // Report, Heartbeat, Boot
	Why        Why           // Report, Boot
	Repeated   bool          // Report: the sensor sends this report twice, with one sequence number
	Health     Health        // Heartbeat
	Cause      Cause         // Reboot, Boot
	ClockError time.Duration // ClockWrong
}

// Reading is what a sensor knows of its space. From one report to the next, Since moves on by exactly Previous: a reader that
// finds another difference has missed a report. A boot breaks the chain: Since is then the boot and Previous zero.
type Reading struct {
	Status     Status
	Since      time.Time     // when the sensor noticed the status
	Previous   time.Duration // how long the sensor held the space for the opposite before
	Confidence float64       // 0 to 1, two decimals
}

// Health is what a sensor measures of itself.
type Health struct {
	BatteryVolts float64 // two decimals
	Battery      Battery
	Temperature  float64 // degrees Celsius, one decimal
	Signal       int     // dBm: weaker under a car
}
