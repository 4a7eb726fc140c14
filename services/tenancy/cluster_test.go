package tenancy_test

import (
	"os"
	"testing"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	"kontor.internal/libs/servers/servertest"
	"kontor.internal/libs/service/servicetest"
	commonv1 "kontor.internal/proto/gen/go/kontor/common/v1"
	tenancyv1 "kontor.internal/proto/gen/go/kontor/tenancy/v1"
)

func (p person) clusters() tenancyv1.ClusterServiceClient {
	return tenancyv1.NewClusterServiceClient(p.conn)
}

// vendorStaff is a member of the vendor's staff.
func (h *house) vendorStaff() person {
	p := h.person("staff@kontor.example")
	_, err := p.staff().ClaimFirstStaff(h.t.Context(), &tenancyv1.ClaimFirstStaffRequest{Token: firstStaffToken})
	must(h.t, err)
	return p
}

// otherCluster is a server that staff could add: the one there is, by another of its names.
func (h *house) otherCluster() *tenancyv1.CreateClusterRequest {
	h.t.Helper()
	server, caFile := servertest.TLSPostgres(h.t)
	pem, err := os.ReadFile(caFile)
	must(h.t, err)
	return &tenancyv1.CreateClusterRequest{
		Title: "West 1", Region: "eu-west", Host: "localhost", Port: int32(server.Port()), User: "kontor_provisioner",
		Password: provisionerPassword, CaPem: string(pem), Capacity: 10, RequestId: newID(),
	}
}

func TestAClusterIsAddedOnlyWhenItCanBeUsed(t *testing.T) {
	h := setup(t)
	staff := h.vendorStaff()
	server, _ := servertest.TLSPostgres(t)
	cases := map[string]struct {
		change func(*tenancyv1.CreateClusterRequest)
		reason commonv1.Reason
	}{
		"no such region":   {func(r *tenancyv1.CreateClusterRequest) { r.Region = "moon" }, commonv1.Reason_REASON_REGION_UNKNOWN},
		"a wrong password": {func(r *tenancyv1.CreateClusterRequest) { r.Password = "wrong" }, commonv1.Reason_REASON_CLUSTER_UNREACHABLE},
		"no server there":  {func(r *tenancyv1.CreateClusterRequest) { r.Port = 1 }, commonv1.Reason_REASON_CLUSTER_UNREACHABLE},
		"no certificate":   {func(r *tenancyv1.CreateClusterRequest) { r.CaPem = "none" }, commonv1.Reason_REASON_CLUSTER_UNFIT},
		"a superuser": {func(r *tenancyv1.CreateClusterRequest) {
			r.User, r.Password = "postgres", server.Password()
		}, commonv1.Reason_REASON_CLUSTER_UNFIT},
		"the one there is": {func(r *tenancyv1.CreateClusterRequest) { r.Host = "127.0.0.1" }, commonv1.Reason_REASON_CLUSTER_EXISTS},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			r := h.otherCluster()
			c.change(r)
			_, err := staff.clusters().CreateCluster(t.Context(), r)
			servicetest.WantReason(t, err, c.reason)
		})
	}
	t.Run("a database that everybody may enter", func(t *testing.T) {
		admin := h.cluster("postgres")
		_, err := admin.Exec(t.Context(), "CREATE DATABASE open_to_all")
		must(t, err)
		defer func() { _, err := admin.Exec(t.Context(), "DROP DATABASE open_to_all"); must(t, err) }()
		_, err = staff.clusters().CreateCluster(t.Context(), h.otherCluster())
		servicetest.WantReason(t, err, commonv1.Reason_REASON_CLUSTER_UNFIT)
	})
	stranger := h.person("somebody@else.example")
	_, err := stranger.clusters().CreateCluster(t.Context(), h.otherCluster())
	servicetest.WantReason(t, err, commonv1.Reason_REASON_PERMISSION_DENIED)
}

func TestCompaniesArePlacedWhereThereIsRoom(t *testing.T) {
	h := setup(t)
	staff := h.vendorStaff()
	r := h.otherCluster()
	added, err := staff.clusters().CreateCluster(t.Context(), r)
	must(t, err)
	again, err := staff.clusters().CreateCluster(t.Context(), r)
	must(t, err)
	if again.GetCluster().GetName() != added.GetCluster().GetName() {
		t.Error("a repeated request added another")
	}
	list, err := staff.clusters().ListClusters(t.Context(), &tenancyv1.ListClustersRequest{PageSize: 1})
	must(t, err)
	rest, err := staff.clusters().ListClusters(t.Context(), &tenancyv1.ListClustersRequest{PageSize: 1, PageToken: list.GetNextPageToken()})
	must(t, err)
	home := list.GetClusters()[0]
	if home.GetRegion() != "eu-north" || rest.GetClusters()[0].GetRegion() != "eu-west" || rest.GetNextPageToken() != "" {
		t.Fatal(list, rest)
	}
	setOpen := func(open bool) {
		_, err := staff.clusters().UpdateCluster(t.Context(), &tenancyv1.UpdateClusterRequest{
			Cluster: &tenancyv1.Cluster{Name: home.GetName(), Open: open}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"open"}},
		})
		must(t, err)
	}
	owner, s := h.owner("ilze@liepa.example")
	setOpen(false)
	_, err = owner.companies().CreateCompany(t.Context(), newCompany(s.GetName()))
	servicetest.WantReason(t, err, commonv1.Reason_REASON_REGION_FULL)
	setOpen(true)
	if company, _ := owner.addCompany(newCompany(s.GetName())); company.GetRegion() != "eu-north" {
		t.Error(company)
	}
	_, err = staff.clusters().UpdateCluster(t.Context(), &tenancyv1.UpdateClusterRequest{
		Cluster: &tenancyv1.Cluster{Name: home.GetName()}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"host"}},
	})
	servicetest.WantReason(t, err, commonv1.Reason_REASON_INVALID_ARGUMENT)
}
