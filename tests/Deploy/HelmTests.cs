namespace DarkStorage.Deploy;

/// <summary>The Helm chart: rendered for several sets of values, and held to what Kubernetes knows and a cluster needs. It is not installed anywhere here.</summary>
public sealed class HelmTests
{
    private const string Zones = "storage: {zones: [a, b, \"1\"], replicas: 2}";
    private const string Everything = """
        gateway: {enabled: true, autoscaling: {enabled: true}, tolerations: [{key: front, operator: Exists}]}
        storage: {spread: preferred, nodeSelector: {disk: ssd}, volume: {storageClass: local}, tolerations: [{key: storage, operator: Exists, effect: NoSchedule}]}
        s3: {domain: s3.example, websiteDomains: [web.example], service: {type: LoadBalancer, annotations: {a: b}}, ingress: {enabled: true, className: nginx, annotations: {c: d}, hosts: [s3.example, "*.s3.example"], tls: [{hosts: [s3.example], secretName: tls}]}}
        metrics: {serviceMonitor: {enabled: true, labels: {release: prom}}, prometheusRule: {enabled: true, labels: {release: prom}}}
        networkPolicy: {s3From: [{ipBlock: {cidr: 10.0.0.0/8}}], managementFrom: [{namespaceSelector: {matchLabels: {name: monitoring}}}]}
        settings: {Garbage__GracePeriod: "01:00:00", S3__BucketsMax: 5, S3__SignatureVersion2: false}
        index: {caSecret: db-ca}
        imagePullSecrets: [{name: pull}]
        podAnnotations: {e: f}
        podLabels: {team: storage}
        priorityClassName: high
        """;
    private const string Secrets = "secrets: {cluster: {name: my-cluster, key: c}, root: {name: my-root, accessKey: a, secretKey: s}, database: {name: my-db, key: p}}";
    private const string FromLabel = "storage: {zoneFromLabel: true}";
    private const string Gateway = "gateway: {enabled: true}";

    public static TheoryData<string> Values => [.. (string[])["{}", Zones, Everything, Secrets, FromLabel, Gateway]];

    [Theory, MemberData(nameof(Values))]
    public async Task Kubernetes_knows_every_field_of_every_document(string values)
    {
        var fields = ReadFields();
        foreach (var document in await HelmChart.RenderAsync(values))
        {
            var kind = HelmChart.KindOf(document);
            Assert.True(fields.TryGetValue(kind, out var known), $"{kind} is no known kind.");
            foreach (var path in PathsOf(document).Where(p => p is not ("apiVersion" or "kind")))
                Assert.True(known.Contains(path) || known.Any(k => k.EndsWith(".*", StringComparison.Ordinal) && path.StartsWith(k[..^1], StringComparison.Ordinal)), $"{kind} has no {path}.");
        }
    }

    [Theory, MemberData(nameof(Values))]
    public async Task Names_are_unique_and_what_refers_to_another_finds_it(string values)
    {
        var documents = await HelmChart.RenderAsync(values);
        Assert.Equal(documents.Count, documents.Select(d => $"{HelmChart.KindOf(d)} {d["metadata"]["name"].Text}").Distinct().Count());
        var pods = Pods(documents).ToList();
        foreach (var service in documents.Where(d => d["kind"].Text == "Service"))
            Assert.Contains(pods, p => Selects(service["spec"]["selector"], p));
        foreach (var monitor in documents.Where(d => d["kind"].Text == "ServiceMonitor"))
            Assert.Equal("management", Assert.Single(documents, d => d["kind"].Text == "Service" && Selects(monitor["spec"]["selector"]["matchLabels"], d))["spec"]["ports"][0]["name"].Text);
        foreach (var owner in documents.Where(d => d["spec"]["template"].Exists))
        {
            Assert.True(Selects(owner["spec"]["selector"]["matchLabels"], owner["spec"]["template"]), owner.Path);
            // And no other's pods.
            Assert.Single(pods, p => Selects(owner["spec"]["selector"]["matchLabels"], p));
            var pod = owner["spec"]["template"]["spec"];
            var volumes = pod["volumes"].Items.Select(v => v["name"].Text).Concat(owner["spec"]["volumeClaimTemplates"].Items.Select(v => v["metadata"]["name"].Text)).ToList();
            Assert.Equal(volumes.Order(), pod["containers"][0]["volumeMounts"].Items.Select(m => m["name"].Text).Order());
            Assert.Contains(documents, d => d["kind"].Text == "ServiceAccount" && d["metadata"]["name"].Text == pod["serviceAccountName"].Text);
            var ports = pod["containers"][0]["ports"].Items.Select(p => p["name"].Text).ToList();
            Assert.All(documents.Where(d => d["kind"].Text == "Service").SelectMany(s => s["spec"]["ports"].Items), p => Assert.Contains(p["targetPort"].Text, ports));
            foreach (var probe in (string[])["startupProbe", "livenessProbe", "readinessProbe"]) Assert.Contains(pod["containers"][0][probe]["httpGet"]["port"].Text, ports);
        }
    }

    [Theory, MemberData(nameof(Values))]
    public async Task Pods_have_few_rights_and_nothing_secret_in_sight(string values)
    {
        foreach (var template in Pods(await HelmChart.RenderAsync(values)))
        {
            var (pod, container) = (template["spec"], template["spec"]["containers"][0]);
            Assert.Equal("false", pod["automountServiceAccountToken"].Text);
            Assert.Equal(("true", "10001", "RuntimeDefault"), (pod["securityContext"]["runAsNonRoot"].Text, pod["securityContext"]["runAsUser"].Text, pod["securityContext"]["seccompProfile"]["type"].Text));
            Assert.Equal(("false", "true", "ALL"), (container["securityContext"]["allowPrivilegeEscalation"].Text, container["securityContext"]["readOnlyRootFilesystem"].Text, container["securityContext"]["capabilities"]["drop"][0].Text));
            Assert.True(container["resources"]["requests"]["memory"].Exists && container["resources"]["limits"]["memory"].Exists);
            foreach (var variable in container["env"].Items)
            {
                var (name, value) = (variable["name"].Text, variable["value"].TextOrNull ?? "");
                if (name.Contains("SECRET", StringComparison.Ordinal) || name.Contains("KEY", StringComparison.Ordinal) || name.Contains("PASS", StringComparison.Ordinal)) Assert.StartsWith("/run/secrets/darkstorage/", value, StringComparison.Ordinal);
                if (value.StartsWith("/run/secrets/darkstorage/", StringComparison.Ordinal)) Assert.Contains(value.Split('/')[^1], pod["volumes"].AllTexts);
            }
        }
    }

    [Fact]
    public async Task Nodes_are_found_before_they_are_ready_stop_in_their_own_time_and_go_one_at_a_time()
    {
        var documents = await HelmChart.RenderAsync();
        var set = Assert.Single(documents, d => d["kind"].Text == "StatefulSet");
        var peers = Assert.Single(documents, d => d["kind"].Text == "Service" && d["metadata"]["name"].Text == set["spec"]["serviceName"].Text);
        Assert.Equal(("None", "true", "Parallel"), (peers["spec"]["clusterIP"].Text, peers["spec"]["publishNotReadyAddresses"].Text, set["spec"]["podManagementPolicy"].Text));
        Assert.Equal(["9002", "9003"], peers["spec"]["ports"].Items.Select(p => p["port"].Text));
        Assert.Equal($"https://$(POD_NAME).{peers["metadata"]["name"].Text}.storage.svc.cluster.local:9002", EnvironmentOf(set)["DARKSTORAGE_PEER_URL"]);
        var names = set["spec"]["template"]["spec"]["containers"][0]["env"].Items.Select(e => e["name"].Text).ToList();
        Assert.True(names.IndexOf("POD_NAME") < names.IndexOf("DARKSTORAGE_PEER_URL")); // only what was named before is put in
        var container = set["spec"]["template"]["spec"]["containers"][0];
        Assert.Equal(("/health/live", "/health/ready"), (container["livenessProbe"]["httpGet"]["path"].Text, container["readinessProbe"]["httpGet"]["path"].Text));
        // Before its end 5 s, then 8 s of draining; after a crash 8 s of a lease before it listens.
        Assert.Equal("30", set["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].Text);
        var budget = Assert.Single(documents, d => d["kind"].Text == "PodDisruptionBudget");
        Assert.Equal("1", budget["spec"]["maxUnavailable"].Text);
        Assert.True(Selects(budget["spec"]["selector"]["matchLabels"], set["spec"]["template"]));
        Assert.True(set["spec"]["template"]["spec"]["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"].Exists);
    }

    [Fact]
    public async Task Zones_come_from_values_or_from_a_label_or_are_the_pods()
    {
        Assert.DoesNotContain("DARKSTORAGE_ZONE", EnvironmentOf(Assert.Single(await HelmChart.RenderAsync(), d => d["kind"].Text == "StatefulSet")).Keys);
        var labelled = Assert.Single(await HelmChart.RenderAsync(FromLabel), d => d["kind"].Text == "StatefulSet");
        Assert.Equal("metadata.labels['topology.kubernetes.io/zone']", EnvironmentOf(labelled)["DARKSTORAGE_ZONE"]);
        Assert.Equal("DoNotSchedule", labelled["spec"]["template"]["spec"]["topologySpreadConstraints"][0]["whenUnsatisfiable"].Text);
        var sets = (await HelmChart.RenderAsync(Zones)).Where(d => d["kind"].Text == "StatefulSet").ToList();
        Assert.Equal(["1", "a", "b"], sets.Select(s => EnvironmentOf(s)["DARKSTORAGE_ZONE"]).Order(StringComparer.Ordinal));
        Assert.All(sets, s => Assert.Equal(EnvironmentOf(s)["DARKSTORAGE_ZONE"], s["spec"]["template"]["spec"]["nodeSelector"]["topology.kubernetes.io/zone"].Text));
        Assert.Equal(3, sets.Select(s => s["metadata"]["name"].Text).Distinct().Count());
    }

    [Fact]
    public async Task The_ports_for_peers_are_for_the_pods_of_the_release_alone_and_management_is_for_nobody_who_is_not_named()
    {
        var rules = Assert.Single(await HelmChart.RenderAsync(), d => d["kind"].Text == "NetworkPolicy")["spec"]["ingress"].Items.ToList();
        var peers = Assert.Single(rules, r => r["ports"].AllTexts.Contains("peers"));
        Assert.Equal(["peers", "silo"], peers["ports"].AllTexts);
        Assert.Equal(["podSelector"], Assert.Single(peers["from"].Items).Keys);
        Assert.DoesNotContain(rules, r => r["ports"].AllTexts.Contains("management"));
        Assert.Single(Assert.Single(await HelmChart.RenderAsync(Everything), d => d["kind"].Text == "NetworkPolicy")["spec"]["ingress"].Items, r => r["ports"].AllTexts.Contains("management") && r["from"].Exists);
    }

    [Fact]
    public async Task Gateways_stand_before_the_nodes_where_they_are_on()
    {
        Assert.DoesNotContain(await HelmChart.RenderAsync(), d => d["kind"].Text is "Deployment" or "HorizontalPodAutoscaler" or "Ingress" or "ServiceMonitor" or "PrometheusRule");
        var documents = await HelmChart.RenderAsync(Gateway);
        var gateway = Assert.Single(documents, d => d["kind"].Text == "Deployment");
        Assert.Equal(("gateway", "https://$(POD_IP):9002"), (EnvironmentOf(gateway)["DARKSTORAGE_ROLES"], EnvironmentOf(gateway)["DARKSTORAGE_PEER_URL"]));
        Assert.Equal("gateway", Assert.Single(documents, d => d["kind"].Text == "Service" && d["spec"]["ports"][0]["name"].Text == "s3")["spec"]["selector"]["app.kubernetes.io/component"].Text);
        Assert.DoesNotContain(documents, d => d["kind"].Text == "HorizontalPodAutoscaler");
        var scaled = await HelmChart.RenderAsync(Everything);
        Assert.False(Assert.Single(scaled, d => d["kind"].Text == "Deployment")["spec"]["replicas"].Exists); // or each upgrade would undo what was scaled
        Assert.Single(scaled, d => d["kind"].Text == "HorizontalPodAutoscaler");
    }

    [Fact]
    public async Task The_alerts_of_the_chart_are_those_of_the_repository()
    {
        Assert.Equal(Tool.Read("deploy/prometheus/alerts.yaml"), Tool.Read($"{HelmChart.Folder}/files/alerts.yaml"));
        var rules = Assert.Single(await HelmChart.RenderAsync(Everything), d => d["kind"].Text == "PrometheusRule")["spec"]["groups"].Items.SelectMany(g => g["rules"].Items).ToList();
        Assert.Equal(PrometheusTests.Alerts.Count(), rules.Count);
        Assert.Contains(rules, r => r["expr"].Text == "up{job=\"store-darkstorage\"} == 0");
        Assert.DoesNotContain(rules, r => r["expr"].Text.Contains("job=\"darkstorage\"", StringComparison.Ordinal));
        // Prometheus' own templates come through.
        Assert.Contains(rules, r => r["annotations"]["summary"].Text.Contains("{{ $labels.instance }}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("index: {url: \"postgres://user:password@db/x\"}", "index.url")]
    [InlineData("index: {url: \"mysql://user@db/x\"}", "index.url")]
    [InlineData("index: {url: \"\"}", "index.url")]
    [InlineData("cluster: {copies: 4}", "cluster.copies")]
    [InlineData("cluster: {gracePeriod: 30m}", "cluster.gracePeriod")]
    [InlineData("cluster: {secret: oh-no}", "secret")]
    [InlineData("storage: {replicas: 2}", "storage.replicas is 2")]
    [InlineData("storage: {replicas: \"3\"}", "storage.replicas")]
    [InlineData("storage: {zones: [a, b]}", "storage.zones has 2")]
    [InlineData("storage: {zones: [a, b, b]}", "names a zone twice")]
    [InlineData("storage: {zones: [a, b, c], zoneFromLabel: true}", "one or the other")]
    [InlineData("storage: {volume: {size: a lot}}", "storage.volume.size")]
    [InlineData("storage: {spread: maybe}", "storage.spread")]
    [InlineData("gateway: {enabled: \"yes\"}", "gateway.enabled")]
    [InlineData("secrets: {cluster: {name: \"\"}}", "secrets.cluster.name")]
    [InlineData("secrets: {root: {secretKey: has spaces}}", "secrets.root.secretKey")]
    [InlineData("s3: {ingress: {enabled: true}}", "s3.ingress.hosts")]
    [InlineData("settings: {not-a-setting: 1}", "settings")]
    [InlineData("logLevel: Loud", "logLevel")]
    [InlineData("podSecurityContext: {}", "podSecurityContext")]
    public async Task Values_that_can_not_be_are_refused_by_name(string values, string named)
    {
        var run = await HelmChart.RunAsync(values);
        Assert.Equal(1, run.ExitCode);
        Assert.Contains(named, run.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_program_knows_every_variable_that_the_chart_gives_it()
    {
        var help = (await NodeProcess.RunAsync(["--help"])).Output;
        var sources = string.Concat(Directory.GetFiles(Tool.PathOf("silo"), "*.cs", SearchOption.AllDirectories).Select(File.ReadAllText));
        foreach (var owner in (await HelmChart.RenderAsync(Everything, "s3: {domain: d.example}")).Where(d => d["spec"]["template"].Exists))
        {
            foreach (var name in EnvironmentOf(owner).Keys.Where(n => n.StartsWith("DARKSTORAGE_", StringComparison.Ordinal) && !n.Contains("__", StringComparison.Ordinal)))
            {
                var isFlag = help.Contains("--" + name["DARKSTORAGE_".Length..].ToLowerInvariant().Replace('_', '-') + " ", StringComparison.Ordinal);
                Assert.True(isFlag || (name.EndsWith("_FILE", StringComparison.Ordinal) && sources.Contains($"\"{name[..^"_FILE".Length]}\"", StringComparison.Ordinal)), name);
            }
        }
    }

    private static IEnumerable<Yaml> Pods(IEnumerable<Yaml> documents) => documents.Select(d => d["spec"]["template"]).Where(t => t.Exists);

    private static bool Selects(Yaml selector, Yaml labelled) => selector.Entries.All(e => labelled["metadata"]["labels"][e.Key].TextOrNull == e.Value.Text);

    private static Dictionary<string, string> EnvironmentOf(Yaml owner) =>
        owner["spec"]["template"]["spec"]["containers"][0]["env"].Items.ToDictionary(e => e["name"].Text, e => e["value"].TextOrNull ?? e["valueFrom"]["fieldRef"]["fieldPath"].Text);

    /// <summary>The way to each plain value, or to an empty map, with dots between; lists are not steps.</summary>
    private static IEnumerable<string> PathsOf(Yaml value, string path = "")
    {
        var below = value.Entries.Select(e => (Path: path.Length == 0 ? e.Key : $"{path}.{e.Key}", e.Value)).Concat(value.Items.Select(i => (Path: path, Value: i))).ToList();
        return below.Count == 0 ? [path] : below.SelectMany(b => PathsOf(b.Value, b.Path));
    }

    private static Dictionary<string, HashSet<string>> ReadFields()
    {
        var fields = new Dictionary<string, HashSet<string>>(StringComparer.Ordinal);
        foreach (var line in Tool.Read("tests/Deploy/kubernetes-fields.txt").Split('\n', StringSplitOptions.RemoveEmptyEntries).Where(l => l[0] != '#').Select(l => l.Split(' ')))
        {
            if (!fields.TryGetValue(line[0], out var known)) fields[line[0]] = known = new(StringComparer.Ordinal);
            foreach (var field in line[1..])
            {
                var at = field.IndexOf('@', StringComparison.Ordinal);
                if (at < 0) known.Add(field);
                else known.UnionWith(fields[field[at..]].Select(f => at == 0 ? f : $"{field[..(at - 1)]}.{f}"));
            }
        }
        return fields;
    }
}
