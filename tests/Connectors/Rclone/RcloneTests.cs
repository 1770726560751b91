using System.Diagnostics;
using DarkStorage.Storage;
using DarkStorage.Storage.Backends;

namespace DarkStorage.Connectors.Rclone;

/// <summary>What tests of the connector share that look behind it: each opens it with an rclone of its own, and without the guard, which would try again.</summary>
public abstract class RcloneTests(SftpServer sftp, FtpServer ftp, WebDavServer webDav) : IClassFixture<SftpServer>, IClassFixture<FtpServer>, IClassFixture<WebDavServer>
{
    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    /// <summary>Names of the servers, for theories.</summary>
    public static TheoryData<string> Servers => ["sftp", "ftp", "webdav"];

    protected SftpServer Sftp { get; } = sftp;

    protected LocalServer Server(string name) => name switch
    {
        "sftp" => Sftp,
        "ftp" => ftp,
        _ => webDav,
    };

    private protected static RcloneBackend Open(RcloneProgram program, Dictionary<string, string> settings, Func<RcloneRemote, RcloneRemote>? change = null)
    {
        var complete = RcloneConnector.On(program).Type.Complete(null, settings);
        var remote = RcloneConnector.RemoteOf(complete);
        return new(program, change?.Invoke(remote) ?? remote, TimeProvider.System);
    }

    private protected static RcloneProgram NewProgram(TimeProvider? clock = null, string program = "rclone") => new(program, clock ?? TimeProvider.System);

    protected static void Kill(int id)
    {
        using var process = Process.GetProcessById(id);
        process.Kill();
        process.WaitForExit();
    }

    private protected static async Task<byte[]> ReadAsync(IBackend backend, BlobName name, ByteRange range)
    {
        await using var stream = await backend.OpenAsync(name, range, Ct);
        using var content = new MemoryStream();
        await stream.CopyToAsync(content, Ct);
        return content.ToArray();
    }

    private protected static async Task<List<string>> ListAsync(IBackend backend, string prefix)
    {
        var names = new List<string>();
        await foreach (var blob in backend.ListAsync(prefix, Ct)) names.Add(blob.Name.Value);
        return names;
    }

    /// <summary>Content on which something happens, once, when it was read to a place.</summary>
    private protected sealed class NoticedSource(long length, long at, Action happens) : BlobSource
    {
        public override long Length => length;

        public override async ValueTask<Stream> OpenAsync(long offset, CancellationToken ct) => new NoticedStream(await new PatternSource(length).OpenAsync(offset, ct), at, happens);
    }

    private protected sealed class NoticedStream(Stream inner, long at, Action happens) : ReadOnlyStream
    {
        private long _position;
        private bool _happened;

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            if (_position >= at && !_happened)
            {
                _happened = true;
                await Task.Run(happens, cancellationToken);
            }
            var read = await inner.ReadAsync(buffer, cancellationToken);
            _position += read;
            return read;
        }
    }
}
