using System.Security.Cryptography;
using System.Text;
using DarkStorage.Storage;
using DarkStorage.Storage.Secrets;

namespace DarkStorage.Silo.Configuration;

/// <summary>The node's data folder: where its parts lie, and the secrets it keeps itself. docs/FORMATS.md lists what is in it.</summary>
internal sealed class DataDirectory : IDisposable
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private readonly string _root;
    private FileStream? _held;

    private DataDirectory(string root) => _root = root;

    public void Dispose() => _held?.Dispose();

    public string IndexFile => Path.Combine(_root, "index.db");
    public string Blobs => Path.Combine(_root, "blobs");
    public string AccessLogs => Path.Combine(_root, "access-logs");
    public string ScrubFile => Path.Combine(_root, "scrub.json");
    public string KeyRingFile => Path.Combine(_root, "keys", "keyring");
    private string ClusterFile => Path.Combine(_root, "cluster");
    private string MasterKeyFile => Path.Combine(_root, "keys", "master.key");
    private string RootCredentialsFile => Path.Combine(_root, "keys", "root.credentials");

    /// <summary>Opens the folder, making it where there is none.</summary>
    public static DataDirectory Open(string path)
    {
        var directory = new DataDirectory(path);
        Directory.CreateDirectory(path);
        CreatePrivateFolder(Path.Combine(path, "keys"));
        Directory.CreateDirectory(directory.Blobs);
        return directory;
    }

    /// <summary>The folder where a node has been before.</summary>
    /// <exception cref="InvalidDataException">There is none.</exception>
    public static DataDirectory OpenExisting(string path)
    {
        var directory = new DataDirectory(path);
        return File.Exists(directory.MasterKeyFile) ? directory : throw new InvalidDataException($"{path} is no data folder: it has no keys/master.key.");
    }

    /// <summary>The cluster that the folder belongs to; null where it belongs to none, or is new.</summary>
    public Guid? ReadCluster()
    {
        if (!File.Exists(ClusterFile)) return null;
        return Guid.TryParseExact(File.ReadAllText(ClusterFile).Trim(), "D", out var cluster) ? cluster : throw new InvalidDataException($"{ClusterFile} is damaged: it has the id of a cluster.");
    }

    /// <summary>Binds the folder to a cluster. Durable when it returns.</summary>
    public void WriteCluster(Guid cluster)
    {
        if (ReadCluster() != cluster) PrivateFile.Replace(ClusterFile, Encoding.UTF8.GetBytes($"{cluster:D}\n"));
    }

    /// <summary>What seals and opens secrets at rest. The first master key is made at first start.</summary>
    public MasterKeyBox OpenMasterKeyBox()
    {
        if (!File.Exists(MasterKeyFile))
        {
            if (File.Exists(KeyRingFile)) throw new InvalidDataException($"{MasterKeyFile} is missing, and what it sealed is there: restore it from a backup.");
            PrivateFile.Replace(MasterKeyFile, RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength));
        }
        var keys = ReadMasterKeys();
        try
        {
            return new(keys);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(keys);
        }
    }

    /// <summary>Puts a new master key before those that are there: it seals from now on, and they still open. Durable when it returns.</summary>
    /// <returns>How many there are now.</returns>
    public int AddMasterKey()
    {
        var keys = ReadMasterKeys();
        if (keys.Length >= MasterKeyBox.KeysMax * MasterKeyBox.KeyLength) throw new InvalidDataException($"{MasterKeyFile} has {MasterKeyBox.KeysMax} keys already.");
        PrivateFile.Replace(MasterKeyFile, [.. RandomNumberGenerator.GetBytes(MasterKeyBox.KeyLength), .. keys]);
        return (keys.Length / MasterKeyBox.KeyLength) + 1;
    }

    private byte[] ReadMasterKeys()
    {
        var keys = File.ReadAllBytes(MasterKeyFile);
        return keys.Length > 0 && keys.Length % MasterKeyBox.KeyLength == 0 && keys.Length <= MasterKeyBox.KeysMax * MasterKeyBox.KeyLength
            ? keys
            : throw new InvalidDataException($"{MasterKeyFile} has {keys.Length} bytes; each of up to {MasterKeyBox.KeysMax} master keys has {MasterKeyBox.KeyLength}.");
    }

    /// <summary>The root credentials: from the environment, or those made at first start.</summary>
    /// <param name="made">They were made just now: the operator has not seen them.</param>
    public RootCredentials ReadRootCredentials(out bool made)
    {
        made = false;
        if (ReadRootEnvironment() is { } given) return given;
        if (!File.Exists(RootCredentialsFile))
        {
            made = true;
            var root = RootCredentials.Make();
            PrivateFile.Replace(RootCredentialsFile, Encoding.UTF8.GetBytes($"{root.AccessKey}\n{root.SecretKey}\n"));
        }
        var lines = File.ReadAllLines(RootCredentialsFile);
        if (lines.Length < 2) throw new InvalidDataException($"{RootCredentialsFile} is damaged: it has an access key and a secret key, a line each.");
        return new(lines[0], lines[1]);
    }

    /// <summary>The root credentials that the operator chose, in variables or in files that <c>…_FILE</c> names; or null.</summary>
    public static RootCredentials? ReadRootEnvironment()
    {
        var (accessKey, secretKey) = (SecretVariable.Read("DARKSTORAGE_ROOT_ACCESS_KEY"), SecretVariable.Read("DARKSTORAGE_ROOT_SECRET_KEY"));
        if (string.IsNullOrEmpty(accessKey) != string.IsNullOrEmpty(secretKey))
            throw new InvalidDataException("DARKSTORAGE_ROOT_ACCESS_KEY and DARKSTORAGE_ROOT_SECRET_KEY go together: set both or neither.");
        if (string.IsNullOrEmpty(accessKey)) return null;
        if (accessKey.Length < 3 || accessKey.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.')))
            throw new InvalidDataException("DARKSTORAGE_ROOT_ACCESS_KEY has at least 3 characters, each a letter, a digit, '-', '_' or '.'.");
        if (secretKey!.Length < 8) throw new InvalidDataException("DARKSTORAGE_ROOT_SECRET_KEY has at least 8 characters.");
        return new(accessKey, secretKey);
    }

    /// <summary>What a node without a drive is known by, made at first start; and the folder is held by this process until it ends.</summary>
    /// <exception cref="StorageStartupException">Another process has the folder.</exception>
    public Guid HoldWithoutDrive()
    {
        try
        {
            _held = new(Path.Combine(_root, "lock"), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new StorageStartupException($"The data folder {_root} is in use by another process, or can't be opened: {e.Message}", e);
        }
        var file = Path.Combine(_root, "node");
        if (!File.Exists(file)) PrivateFile.Replace(file, Encoding.UTF8.GetBytes($"{Guid.NewGuid():D}\n"));
        return Guid.TryParseExact(File.ReadAllText(file).Trim(), "D", out var id) ? id : throw new InvalidDataException($"{file} is damaged: it has the id of this node.");
    }

    private static void CreatePrivateFolder(string path)
    {
        if (OperatingSystem.IsWindows()) Directory.CreateDirectory(path);
        else Directory.CreateDirectory(path, OwnerOnly);
    }
}

/// <summary>The key pair that may do everything.</summary>
internal sealed record RootCredentials(string AccessKey, string SecretKey)
{
    private const int AccessKeyLength = 20;
    private const int SecretKeyBytes = 30;

    public static RootCredentials Make() =>
        new(RandomNumberGenerator.GetString("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", AccessKeyLength), Convert.ToBase64String(RandomNumberGenerator.GetBytes(SecretKeyBytes)));

    public override string ToString() => $"RootCredentials {AccessKey}";
}
