using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using DarkStorage.TestKit;

namespace DarkStorage.Connectors.Rclone;

/// <summary>A server of others, on loopback, that keeps files in a folder and can be killed and started again.</summary>
public abstract class LocalServer : IAsyncLifetime
{
    private Process? _process;

    protected LocalServer() => Files = Directory.CreateDirectory(Path.Combine(Folder, "files")).FullName;

    /// <summary>For its configuration.</summary>
    protected string Folder { get; } = Directory.CreateTempSubdirectory("darkstorage-server-").FullName;

    /// <summary>Where the server itself keeps what is put.</summary>
    public string Files { get; }

    public IPEndPoint EndPoint { get; } = new(IPAddress.Loopback, FreePorts.TakeTwo());

    /// <summary>One rclone for all tests of a class, as a node has it.</summary>
    public ConnectorCatalog Catalog { get; } = new(TimeProvider.System);

    /// <summary>What the connector is to be told, but for the path and the secret.</summary>
    public abstract Dictionary<string, string> Settings(IPEndPoint at);

    /// <summary>The field that has the right to sign in, and what it is.</summary>
    public abstract (string Field, string Value) Secret { get; }

    /// <summary>A folder of the server as the connector names it.</summary>
    public abstract string PathOf(string folder);

    /// <summary>All that it is to be told for a new folder.</summary>
    public Dictionary<string, string> NewPlace(out string folder, IPEndPoint? at = null)
    {
        folder = Path.Combine(Files, Guid.NewGuid().ToString("N"));
        Directory.CreateDirectory(folder);
        Open(folder);
        var settings = Settings(at ?? EndPoint);
        settings[Secret.Field] = Secret.Value;
        settings["path"] = PathOf(Path.GetFileName(folder));
        return settings;
    }

    public async ValueTask InitializeAsync()
    {
        // nginx' workers, started by root, are nobody.
        Open(Folder);
        Open(Files);
        await ConfigureAsync();
        await StartAsync();
    }

    public async Task StartAsync()
    {
        var (program, arguments) = Command;
        // To a file and not to the test's output, which a process that is left would keep open.
        _process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", "log=$1; shift; exec \"$@\" >>\"$log\" 2>&1 </dev/null", "sh", Path.Combine(Folder, "log"), program, .. arguments]))!;
        await Eventually.HoldsAsync(IsListeningAsync, () => $"{program} does not listen: {File.ReadAllText(Path.Combine(Folder, "log"))}");
    }

    /// <summary>With all that it has started.</summary>
    public async Task KillAsync()
    {
        if (_process is not { } process) return;
        _process = null;
        process.Kill(entireProcessTree: true);
        await process.WaitForExitAsync();
        process.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        GC.SuppressFinalize(this);
        Catalog.Dispose();
        await KillAsync();
        Directory.Delete(Folder, recursive: true);
    }

    protected abstract (string Program, string[] Arguments) Command { get; }

    protected abstract Task ConfigureAsync();

    protected static async Task RunAsync(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments))!;
        await process.WaitForExitAsync();
        Assert.Equal(0, process.ExitCode);
    }

    /// <summary>To every user of the machine.</summary>
    private static void Open(string folder)
    {
        const UnixFileMode All = (UnixFileMode)0b111_111_111;
        if (!OperatingSystem.IsWindows()) File.SetUnixFileMode(folder, All);
    }

    private async Task<bool> IsListeningAsync()
    {
        if (_process!.HasExited) throw new InvalidOperationException($"It ended with {_process.ExitCode}: {await File.ReadAllTextAsync(Path.Combine(Folder, "log"))}");
        try
        {
            using var client = new TcpClient();
            await client.ConnectAsync(EndPoint);
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}

/// <summary>OpenSSH's server with its own SFTP, for the user of the tests, by a key.</summary>
public class SftpServer : LocalServer
{
    private string KeyFile => Path.Combine(Folder, "user");

    public override (string Field, string Value) Secret => ("key", File.ReadAllText(KeyFile));

    /// <summary>As known_hosts has it.</summary>
    public string HostKeys => $"[127.0.0.1]:{EndPoint.Port} {File.ReadAllText(Path.Combine(Folder, "host.pub"))}";

    /// <summary>What is behind a shell, there: rclone has the server take checksums by it.</summary>
    protected virtual string More => "";

    protected override (string Program, string[] Arguments) Command => ("/usr/sbin/sshd", ["-D", "-e", "-f", Path.Combine(Folder, "sshd.conf")]);

    public override Dictionary<string, string> Settings(IPEndPoint at) => new()
    {
        ["remote-type"] = "sftp", ["host"] = at.Address.ToString(), ["port"] = $"{at.Port}", ["user"] = Environment.UserName, ["host-keys"] = HostKeys.Replace($"]:{EndPoint.Port} ", $"]:{at.Port} ", StringComparison.Ordinal),
    };

    public override string PathOf(string folder) => Path.Combine(Files, folder);

    protected override async Task ConfigureAsync()
    {
        if (Environment.IsPrivilegedProcess) Directory.CreateDirectory("/run/sshd");
        foreach (var key in new[] { "host", "user", "other" }) await RunAsync("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", Path.Combine(Folder, key));
        await File.WriteAllTextAsync(Path.Combine(Folder, "sshd.conf"), $"""
            Port {EndPoint.Port}
            ListenAddress 127.0.0.1
            HostKey {Folder}/host
            AuthorizedKeysFile {Folder}/user.pub
            StrictModes no
            PidFile none
            MaxStartups 200
            Subsystem sftp internal-sftp
            {More}

            """);
    }

    /// <summary>A key that the server does not know.</summary>
    public string OtherKey() => File.ReadAllText(Path.Combine(Folder, "other"));

    /// <summary>What is not the server's.</summary>
    public string OtherHostKey() => File.ReadAllText(Path.Combine(Folder, "other.pub"));
}

/// <summary>The same without a shell: it knows no checksums.</summary>
public sealed class ShelllessSftpServer : SftpServer
{
    protected override string More => "ForceCommand internal-sftp";
}

/// <summary>vsftpd, as the user of the tests: it has one user without an account of the system, anonymous, and is told whose e-mail addresses are let in.</summary>
public sealed class FtpServer : LocalServer
{
    public override (string Field, string Value) Secret { get; } = ("password", Guid.NewGuid().ToString("N"));

    protected override (string Program, string[] Arguments) Command => ("/usr/sbin/vsftpd", [Path.Combine(Folder, "vsftpd.conf")]);

    public override Dictionary<string, string> Settings(IPEndPoint at) => new() { ["remote-type"] = "ftp", ["host"] = at.Address.ToString(), ["port"] = $"{at.Port}", ["user"] = "anonymous" };

    public override string PathOf(string folder) => Path.Combine(Files, folder);

    protected override async Task ConfigureAsync()
    {
        await File.WriteAllTextAsync(Path.Combine(Folder, "passwords"), Secret.Value + "\n");
        await File.WriteAllTextAsync(Path.Combine(Folder, "vsftpd.conf"), $"""
            listen=YES
            listen_address=127.0.0.1
            listen_port={EndPoint.Port}
            background=NO
            run_as_launching_user=YES
            anonymous_enable=YES
            anon_root={Files}
            anon_upload_enable=YES
            anon_mkdir_write_enable=YES
            anon_other_write_enable=YES
            anon_world_readable_only=NO
            write_enable=YES
            force_dot_files=YES
            delay_failed_login=0
            secure_email_list_enable=YES
            email_password_file={Folder}/passwords
            pasv_address=127.0.0.1
            seccomp_sandbox=NO

            """);
    }
}

/// <summary>nginx with its modules for WebDAV.</summary>
public sealed class WebDavServer : LocalServer
{
    public override (string Field, string Value) Secret { get; } = ("password", Guid.NewGuid().ToString("N"));

    protected override (string Program, string[] Arguments) Command => ("/usr/sbin/nginx", ["-e", Path.Combine(Folder, "error.log"), "-c", Path.Combine(Folder, "nginx.conf")]);

    public override Dictionary<string, string> Settings(IPEndPoint at) => new() { ["remote-type"] = "webdav", ["url"] = $"http://{at}/", ["user"] = "tester" };

    public override string PathOf(string folder) => folder;

    protected override async Task ConfigureAsync()
    {
        await File.WriteAllTextAsync(Path.Combine(Folder, "passwords"), $"tester:{{PLAIN}}{Secret.Value}\n");
        await File.WriteAllTextAsync(Path.Combine(Folder, "nginx.conf"), $$"""
            daemon off;
            pid {{Folder}}/pid;
            error_log {{Folder}}/error.log;
            load_module /usr/lib/nginx/modules/ngx_http_dav_ext_module.so;
            events {}
            http {
                access_log off;
                client_body_temp_path {{Folder}}/body; proxy_temp_path {{Folder}}/proxy; fastcgi_temp_path {{Folder}}/fastcgi; uwsgi_temp_path {{Folder}}/uwsgi; scgi_temp_path {{Folder}}/scgi;
                client_max_body_size 0;
                server {
                    listen {{EndPoint}};
                    root {{Files}};
                    dav_methods PUT DELETE MKCOL COPY MOVE;
                    dav_ext_methods PROPFIND OPTIONS;
                    create_full_put_path on;
                    auth_basic tests;
                    auth_basic_user_file {{Folder}}/passwords;
                }
            }

            """);
    }
}
