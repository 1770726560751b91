namespace DarkStorage.Deploy;

/// <summary>The compose file against what a cluster needs. It is read here, and not run: there is no container runtime.</summary>
public sealed class ComposeTests
{
    private static readonly Yaml Compose = Yaml.Parse(Tool.Read("deploy/compose/compose.yaml"), "compose.yaml");

    private static IEnumerable<(string Key, Yaml Value)> Nodes => Compose["services"].Entries.Where(s => s.Key != "postgres").Select(s => (s.Key, s.Value.Merge()));

    [Fact]
    public void There_are_three_nodes_in_three_zones_and_a_gateway_that_is_asked_for()
    {
        var storage = Nodes.Where(n => n.Value["environment"]["DARKSTORAGE_ROLES"].TextOrNull != "gateway").ToList();
        Assert.Equal(["a", "b", "c"], storage.Select(n => n.Value["environment"]["DARKSTORAGE_ZONE"].Text).Order());
        Assert.All(storage, n => Assert.False(n.Value["profiles"].Exists));
        var gateway = Assert.Single(Nodes, n => n.Value["environment"]["DARKSTORAGE_ROLES"].TextOrNull == "gateway");
        Assert.Equal("gateway", gateway.Value["profiles"][0].Text);
        Assert.Equal(storage.Count.ToString(System.Globalization.CultureInfo.InvariantCulture), storage[0].Value["environment"]["DARKSTORAGE_Cluster__Copies"].Text);
    }

    [Fact]
    public void A_node_is_found_by_its_name_and_keeps_its_data_in_a_volume_of_its_own()
    {
        foreach (var (name, node) in Nodes)
        {
            Assert.Equal(name, node["hostname"].Text);
            Assert.Equal(name, node["environment"]["DARKSTORAGE_NODE"].Text);
            Assert.Equal($"https://{name}:9002", node["environment"]["DARKSTORAGE_PEER_URL"].Text);
            Assert.Equal($"{name}:/data", Assert.Single(node["volumes"].Items).Text);
            Assert.Contains(name, Compose["volumes"].Keys);
        }
        Assert.Equal(Nodes.Count(), Nodes.Select(n => n.Value["ports"][0].Text).Distinct().Count());
        Assert.All(Nodes.SelectMany(n => n.Value["ports"].Items), p => Assert.StartsWith("127.0.0.1:", p.Text, StringComparison.Ordinal));
    }

    [Fact]
    public void Nothing_secret_is_in_the_file_or_the_image()
    {
        Assert.All(Compose["secrets"].Entries, s => Assert.StartsWith("secrets/", s.Value["file"].Text, StringComparison.Ordinal));
        foreach (var (_, service) in Compose["services"].Entries.Select(s => (s.Key, s.Value.Merge())))
        {
            foreach (var (name, value) in service["environment"].Entries)
            {
                if (name.Contains("SECRET", StringComparison.Ordinal) || name.Contains("PASS", StringComparison.Ordinal) || name.Contains("KEY", StringComparison.Ordinal))
                    Assert.StartsWith("/run/secrets/", value.Text, StringComparison.Ordinal);
                // And what is named there is handed over.
                if (value.Text.StartsWith("/run/secrets/", StringComparison.Ordinal)) Assert.Contains(value.Text["/run/secrets/".Length..], service["secrets"].Items.Select(s => s.Text));
            }
            Assert.All(service["secrets"].Items, s => Assert.Contains(s.Text, Compose["secrets"].Keys));
            Assert.DoesNotMatch("postgres://[^@/]*:[^@/]*@", service["environment"]["DARKSTORAGE_INDEX"].TextOrNull ?? "");
        }
        Assert.DoesNotMatch("(SECRET|PASSWORD|KEY)", Tool.Read("deploy/Dockerfile"));
        Assert.Contains("deploy/compose/secrets", Tool.Read(".gitignore"), StringComparison.Ordinal);
        Assert.Contains("deploy/compose/secrets", Tool.Read(".dockerignore"), StringComparison.Ordinal);
    }

    [Fact]
    public void Secrets_that_the_file_names_are_those_that_the_script_makes()
    {
        var made = System.Text.RegularExpressions.Regex.Matches(Tool.Read("deploy/compose/make-secrets.sh"), "(?m)^make ([a-z-]+) ").Select(m => m.Groups[1].Value);
        Assert.Equal(Compose["secrets"].Keys.Order(), made.Order());
    }

    [Fact]
    public void Nodes_have_few_rights_come_back_when_they_end_and_have_the_time_to_drain()
    {
        foreach (var (_, node) in Nodes)
        {
            Assert.Equal("true", node["read_only"].Text);
            Assert.Equal("ALL", node["cap_drop"][0].Text);
            Assert.Equal("no-new-privileges:true", node["security_opt"][0].Text);
            Assert.Equal("unless-stopped", node["restart"].Text);
            Assert.Equal("15s", node["stop_grace_period"].Text);
            Assert.Equal("service_healthy", node["depends_on"]["postgres"]["condition"].Text);
            Assert.Equal(["CMD", "/usr/local/bin/darkstorage-health", "ready"], node["healthcheck"]["test"].Items.Select(t => t.Text));
        }
        var dockerfile = Tool.Read("deploy/Dockerfile");
        Assert.Contains("COPY deploy/healthcheck.sh /usr/local/bin/darkstorage-health", dockerfile, StringComparison.Ordinal);
        Assert.Contains("USER 10001", dockerfile, StringComparison.Ordinal);
        Assert.True(File.GetUnixFileMode(Tool.PathOf("deploy/healthcheck.sh")).HasFlag(UnixFileMode.OtherExecute));
    }

    [Fact]
    public void The_database_is_durable_and_set_up_before_nodes_start()
    {
        var postgres = Compose["services"]["postgres"];
        Assert.Matches("^postgres:1[5-9]", postgres["image"].Text);
        Assert.Contains("config_file=/etc/postgresql/postgresql.conf", postgres["command"].AllTexts);
        Assert.DoesNotContain("fsync=off", string.Join(' ', postgres.AllTexts), StringComparison.Ordinal);
        foreach (var mount in postgres["volumes"].Items.Select(v => v.Text.Split(':')))
            if (mount[0].StartsWith('.')) Assert.True(File.Exists(Path.Combine(Tool.PathOf("deploy/compose"), mount[0])), mount[0]);
        Assert.Contains("pg_isready", postgres["healthcheck"]["test"].AllTexts);
        Assert.Contains("/setup/setup.sql", Tool.Read("deploy/compose/init-database.sh"), StringComparison.Ordinal);
    }
}
