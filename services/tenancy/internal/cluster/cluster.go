// Package cluster is the PostgreSQL servers that company databases lie on, and the ways into them.
package cluster

import (
	"net"
	"strconv"
	"time"

	"github.com/google/uuid"
	"google.golang.org/protobuf/types/known/timestamppb"

	"kontor.internal/libs/failure"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
	"kontor.internal/services/tenancy/internal/names"
)

// Cluster is one server.
type Cluster struct {
	ID        uuid.UUID
	Title     string
	Region    string
	Host      string
	Port      int32
	Login     string
	Sealed    []byte
	CAPEM     string
	Capacity  int32
	Databases int32
	Open      bool
	Created   time.Time
}

// Address is host and port.
func (c Cluster) Address() string { return net.JoinHostPort(c.Host, strconv.Itoa(int(c.Port))) }

// room is how many databases more it may take.
func (c Cluster) room() int32 {
	if !c.Open {
		return 0
	}
	return max(0, c.Capacity-c.Databases)
}

// Place chooses the server for a new database among those of a region: the one that is least full, so that all fill
// evenly whatever their size. REGION_FULL when none has room.
func Place(region string, clusters []Cluster) (Cluster, error) {
	var best Cluster
	for _, c := range clusters {
		if c.Region != region || c.room() == 0 {
			continue
		}
		// c.room()/c.Capacity > best.room()/best.Capacity, without fractions.
		if best.ID == uuid.Nil || int64(c.room())*int64(best.Capacity) > int64(best.room())*int64(c.Capacity) {
			best = c
		}
	}
	if best.ID == uuid.Nil {
		return Cluster{}, failure.New(commonv1.Reason_REASON_REGION_FULL, "region", region)
	}
	return best, nil
}

// ToProto is what staff see.
func ToProto(c Cluster) *tenancyv1.Cluster {
	return &tenancyv1.Cluster{
		Name: names.Cluster(c.ID), Title: c.Title, Region: c.Region, Host: c.Host, Port: c.Port, Capacity: c.Capacity,
		Databases: c.Databases, Open: c.Open, CreateTime: timestamppb.New(c.Created),
	}
}
